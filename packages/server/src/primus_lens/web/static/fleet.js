// The fleet as far as it is looked at: rows are fetched by the page around what the reader sees, in the
// order and by the filter that stand in the address; events lay newer rows over the known ones.
import { signal } from "./vendor/index.js";
import { choices, chosen } from "./address.js";
import { ask } from "./api.js";

/** @typedef {import("./api.js").Workload} Workload
 * @typedef {Record<string, Record<string, number>>} Facets  name of a facet: its values and how many have each
 * @typedef {{workloads: Workload[], total_count: number, facets?: Facets}} Answer */

const PAGE_ROWS = 100;
const FILTERS = ["q", "regex", "state", "framework", "namespace"]; // of the address, as the API names them
/** How the address says "those without one". */
export const NONE = "none";
const COUNT_AGAIN_MS = 30_000;
const GATHER_MS = 60; // a reader who scrolls past a page does not want it

/** How many match and how many there are, which facets, and a number that changes with every change of a row.
 * @type {{value: {total: number, everything: number, facets: Facets, turn: number} | null}} */
export const fleet = signal(null);

/** @type {Map<number, Workload[]>} page number to its rows */
let pages = new Map();
/** @type {Map<string, [number, number]>} uid to page and place */
let places = new Map();
let loadedFor = "";
let seen = [0, 0];
let gathering = 0;
let counted = { all: 0, at: -Infinity };

/** The row at a place of the whole list, if it has been fetched. @param {number} at */
export function rowAt(at) {
  return pages.get(Math.floor(at / PAGE_ROWS))?.[at % PAGE_ROWS] ?? null;
}

/** What a workload is called, if its row has been fetched. @param {string} uid @returns {string | null} */
export function nameOf(uid) {
  const place = fleet.value && places.get(uid);
  return (place && pages.get(place[0])?.[place[1]]?.name) ?? null;
}

/** What the address asks of the server. */
export function wish() {
  const query = new URLSearchParams({ sort: chosen("sort", "trouble") });
  for (const name of FILTERS) {
    for (const value of choices.value.getAll(name)) query.append(name, value === NONE && name !== "q" && name !== "regex" ? "" : value);
  }
  return query.toString();
}

/** How many workloads there are whatever the filter; asked seldom, for it is only said beside.
 * @param {boolean} filtered @param {number} matching */
async function everything(filtered, matching) {
  if (!filtered) counted = { all: matching, at: Date.now() };
  else if (Date.now() - counted.at > COUNT_AGAIN_MS) counted = { all: (await ask("/workloads?limit=1")).total_count, at: Date.now() };
  return Math.max(matching, counted.all);
}

/** Fetch the pages the reader sees anew, and forget the others: their order may have changed.
 * @param {boolean} held rows keep their places and only change what they say @returns {Promise<void>} */
export async function refresh(held) {
  const wanted = wish();
  const numbers = wanted === loadedFor ? pagesOf(seen[0], seen[1]) : [0];
  const answers = await Promise.all(numbers.map((number) => askFor(number, wanted)));
  if (wanted !== wish()) return; // the reader has moved on
  if (held && wanted === loadedFor && answers[0].total_count === fleet.value?.total) {
    for (const answer of answers) layOver(answer.workloads);
    await tell(answers[0]);
    return;
  }
  if (wanted !== loadedFor) window.scrollTo(0, 0);
  pages = new Map();
  places = new Map();
  loadedFor = wanted;
  numbers.forEach((number, i) => lay(number, answers[i].workloads));
  await tell(answers[0]);
}

/** The reader looks at the rows from `first` to `last`: fetch what is missing there.
 * @param {number} first @param {number} last @param {(error: unknown) => void} failed */
export function lookAt(first, last, failed) {
  seen = [first, last];
  clearTimeout(gathering);
  if (pagesOf(first, last).every((number) => pages.has(number))) return;
  gathering = setTimeout(() => { loadMissing().catch(failed); }, GATHER_MS);
}

async function loadMissing() {
  const wanted = loadedFor;
  const missing = pagesOf(seen[0], seen[1]).filter((number) => !pages.has(number));
  await Promise.all(missing.map(async (number) => {
    const answer = await askFor(number, wanted);
    if (wanted !== loadedFor || wanted !== wish()) return;
    lay(number, answer.workloads);
    await tell(answer);
  }));
}

/** Newer rows, as an event brings them. @param {Workload[]} rows @returns {Workload[]} those that have no place
 * here, or no longer the one they stand at */
export function layOver(rows) {
  const missed = [];
  for (const row of rows) {
    const place = places.get(row.workload_uid);
    const page = place && pages.get(place[0]);
    if (!place || !page) {
      missed.push(row);
      continue;
    }
    const before = page[place[1]];
    if (before.state !== row.state || (before.alerts ?? []).length !== (row.alerts ?? []).length) missed.push(row);
    page[place[1]] = row;
  }
  if (fleet.value) fleet.value = { ...fleet.value, turn: fleet.value.turn + 1 };
  return missed;
}

/** @param {number} number @param {string} wanted @returns {Promise<Answer>} */
function askFor(number, wanted) {
  const query = new URLSearchParams(wanted);
  query.set("limit", String(PAGE_ROWS));
  query.set("offset", String(number * PAGE_ROWS));
  return ask(`/workloads?${query}`);
}

/** @param {number} number @param {Workload[]} rows */
function lay(number, rows) {
  pages.set(number, [...rows]);
  rows.forEach((row, i) => places.set(row.workload_uid, [number, i]));
}

/** @param {Answer} answer */
async function tell(answer) {
  const filtered = FILTERS.some((name) => choices.value.has(name));
  const all = await everything(filtered, answer.total_count);
  const turn = (fleet.value?.turn ?? 0) + 1;
  fleet.value = { total: answer.total_count, everything: all, facets: answer.facets ?? {}, turn };
}

/** @param {number} first @param {number} last */
function pagesOf(first, last) {
  const numbers = [];
  for (let n = Math.floor(first / PAGE_ROWS); n <= Math.floor(Math.max(first, last) / PAGE_ROWS); n += 1) numbers.push(n);
  return numbers;
}
