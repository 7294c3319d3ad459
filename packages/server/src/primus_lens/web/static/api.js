// The one place that asks the server. Every answer is remembered by its ETag, so asking again
// costs a 304 and hands back the very same object: whoever compares by identity sees "unchanged".
import { signal } from "./vendor/index.js";

/** @typedef {import("./say.js").Value} Value
 * @typedef {"running" | "stalled" | "finished" | "failed" | "crashed" | "diverged" | "unknown"} State
 * @typedef {{kind: string, since: number, text: string, run_id: string | null, metric: string | null}} Alert
 * @typedef {{workload_uid: string, state: State, framework: string | null, wrapper_framework: string | null,
 *   base_framework: string | null, confidence: number | null, runs: number, data_sources: string[],
 *   last_step: number | null, last_values: Record<string, Value>, project: string | null, name: string | null,
 *   pods: string[], first_seen: number, last_seen: number, namespace?: string | null, target_step?: number | null,
 *   progress?: number | null, step_rate?: number | null, eta_s?: number | null,
 *   loss?: {metric: string, value: Value} | null, sparkline?: (number | null)[] | null, alerts?: Alert[]}} Workload
 * @typedef {{serial: number, run_id: string, name: string | null, project: string | null, state: State,
 *   started_at: number | null, last_seen: number | null, last_step: number | null,
 *   config: Record<string, unknown> | null, tags: string[] | null, rank?: number | null, world_size?: number | null,
 *   summary?: Record<string, unknown> | null, pod_name?: string | null, ended_at?: number | null}} Run
 * @typedef {{layer: string | null, method: string | null, framework: string | null, confidence: number | null,
 *   indicators: string[], base_framework: string | null, wrapper_framework: string | null}} Claim
 * @typedef {{at: number, hints: unknown, evidence: unknown, detection: Claim | null}} Source
 * @typedef {{framework: string | null, framework_layer: string | null, wrapper_framework: string | null,
 *   base_framework: string | null, confidence: number | null, method: string | null, status: string | null,
 *   sources: Record<string, Source>, conflicts: Record<string, unknown>[]}} Detection
 * @typedef {{name: string, data_source: string[], count: number}} Metric
 * @typedef {{workload_uid: string, runs: Run[], detection: Detection | null, metrics: Metric[]}} Detail */

const ANSWERS_KEPT = 64;
const PATIENCE_MS = 20_000;

/** @type {Map<string, {etag: string, body: any}>} */
const answers = new Map();

/** The server's clock minus ours, ms; ages are told by the server's clock. */
export const clockOffset = signal(0);

/** Whether this browser has a token; only the server can tell, for no script can read its cookie. */
export const signedIn = signal(false);

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
  const headers = { Accept: "application/json", ...(known ? { "If-None-Match": known.etag } : {}) };
  const response = await answerTo(url, { headers }, stop);
  readClock(response);
  if (response.status === 304 && known) return keep(url, known);
  if (!response.ok) throw await troubleOf(response);
  const body = await response.json().catch(() => {
    throw new Trouble("The server's answer was cut short.", response.status);
  });
  return keep(url, { etag: response.headers.get("ETag") ?? "", body });
}

/** Take over an answer that was got before this module was there; its body, as `ask` would give it.
 * @param {{path: string, etag: string, body: any}} answer */
export function remember({ path, etag, body }) {
  return keep(`/api/v1${path}`, { etag, body });
}

/** PUT or DELETE one path under /api/v1. @param {"PUT" | "DELETE"} method @param {string} path
 * @param {unknown} [body] @returns {Promise<any>} throws Trouble */
export async function send(method, path, body) {
  const json = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await answerTo(`/api/v1${path}`, { method, ...json });
  if (!response.ok) throw await troubleOf(response);
  return response.status === 204 ? null : response.json();
}

/** Trade a token of scope read for a cookie.
 * @param {string} token @returns {Promise<void>} throws Trouble */
export async function signIn(token) {
  const body = JSON.stringify({ token });
  await session({ method: "POST", headers: { "Content-Type": "application/json" }, body });
}

/** Give the cookie back. @returns {Promise<void>} throws Trouble */
export async function signOut() {
  await session({ method: "DELETE" });
}

/** @param {RequestInit} asking */
async function session(asking) {
  const response = await answerTo("/session", asking);
  if (!response.ok) throw await troubleOf(response);
  signedIn.value = (await response.json()).signed_in;
}

session({}).catch(() => undefined); // who cannot be asked will say so when asked for more

/** @param {string} url @param {RequestInit} asking @param {AbortSignal} [stop] */
async function answerTo(url, asking, stop) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(url, {
      ...asking,
      cache: "no-store", // the memory of answers is `answers`, not the browser's cache
      signal: stop ? AbortSignal.any([stop, patience]) : patience,
    });
  } catch (error) {
    if (stop?.aborted) throw error;
    if (patience.aborted) throw new Trouble(`The server gave no answer within ${PATIENCE_MS / 1000} s.`, 0);
    throw new Trouble("The server cannot be reached.", 0);
  }
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
