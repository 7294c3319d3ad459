// The one place that asks the server. Every answer is remembered by its ETag, so asking again
// costs a 304 and hands back the very same object: whoever compares by identity sees "unchanged".
import { signal } from "./vendor/index.js";

/** @typedef {import("./say.js").Value} Value
 * @typedef {"running" | "finished" | "failed" | "crashed" | "unknown"} State
 * @typedef {{workload_uid: string, state: State, framework: string | null, wrapper_framework: string | null,
 *   base_framework: string | null, confidence: number | null, runs: number, data_sources: string[],
 *   last_step: number | null, last_values: Record<string, Value>, project: string | null, name: string | null,
 *   pods: string[], first_seen: number, last_seen: number}} Workload
 * @typedef {{serial: number, run_id: string, name: string | null, project: string | null, state: State,
 *   started_at: number | null, last_seen: number | null, last_step: number | null,
 *   config: Record<string, unknown>, tags: string[]}} Run
 * @typedef {{framework: string | null, framework_layer: string | null, wrapper_framework: string | null,
 *   base_framework: string | null, confidence: number | null, method: string | null,
 *   evidence?: unknown}} Detection
 * @typedef {{name: string, data_source: string[], count: number}} Metric
 * @typedef {{workload_uid: string, runs: Run[], detection: Detection | null, metrics: Metric[]}} Detail
 * @typedef {{metric: string, data_source: string, serial: number, run_id: string, total: number,
 *   step: number[], time: number[], value: Value[], thinned: boolean}} Series */

const ANSWERS_KEPT = 64;
const PATIENCE_MS = 20_000;
const TOKEN_KEY = "primus-lens-token";

/** @type {Map<string, {etag: string, body: any}>} */
const answers = new Map();

/** The server's clock minus ours, ms; ages are told by the server's clock. */
export const clockOffset = signal(0);

/** An answer that is none, in words for the reader. */
export class Trouble extends Error {
  /** @param {string} message @param {number} status 0 when nobody answered */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** GET one path under /api/v1.
 * @param {string} path @param {AbortSignal} [stop] @returns {Promise<any>} throws Trouble */
export async function ask(path, stop) {
  const url = `/api/v1${path}`;
  const known = answers.get(url);
  const response = await answerTo(url, known?.etag, stop);
  readClock(response);
  if (response.status === 304 && known) return keep(url, known);
  if (!response.ok) throw await troubleOf(response);
  const body = await response.json().catch(() => {
    throw new Trouble("The server's answer was cut short.", response.status);
  });
  return keep(url, { etag: response.headers.get("ETag") ?? "", body });
}

/** @param {string} token of scope read; empty forgets it */
export function useToken(token) {
  if (token) localStorage.setItem(TOKEN_KEY, token);
  else localStorage.removeItem(TOKEN_KEY);
}

/** @param {string} url @param {string | undefined} etag @param {AbortSignal | undefined} stop */
async function answerTo(url, etag, stop) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(url, {
      headers: askingHeaders(etag),
      cache: "no-store", // the memory of answers is `answers`, not the browser's cache
      signal: stop ? AbortSignal.any([stop, patience]) : patience,
    });
  } catch (error) {
    if (stop?.aborted) throw error;
    if (patience.aborted) throw new Trouble(`The server gave no answer within ${PATIENCE_MS / 1000} s.`, 0);
    throw new Trouble("The server cannot be reached.", 0);
  }
}

/** @param {string | undefined} etag @returns {Record<string, string>} */
function askingHeaders(etag) {
  const token = localStorage.getItem(TOKEN_KEY);
  return {
    Accept: "application/json",
    ...(etag ? { "If-None-Match": etag } : {}),
    ...(token ? { Authorization: `Bearer ${token}` } : {}),
  };
}

/** @param {string} url @param {{etag: string, body: any}} answer */
function keep(url, answer) {
  answers.delete(url);
  if (answer.etag) answers.set(url, answer);
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value ?? "");
  return answer.body;
}

/** @param {Response} response */
async function troubleOf(response) {
  const body = await response.json().catch(() => null);
  const said = typeof body?.error === "string" ? body.error : `The server answered ${response.status}.`;
  return new Trouble(said, response.status);
}

/** @param {Response} response */
function readClock(response) {
  const said = Date.parse(response.headers.get("Date") ?? "");
  const offset = said - Date.now();
  // The header has whole seconds; a smaller difference is rounding, not a wrong clock.
  clockOffset.value = Math.abs(offset) > 3000 ? offset : 0;
}
