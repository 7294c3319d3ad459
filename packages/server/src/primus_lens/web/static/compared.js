// What is laid side by side: the runs the address names, and the points of the metrics that are looked at.
import { signal } from "./vendor/index.js";
import { choices } from "./address.js";
import { ask } from "./api.js";
import { startsOf, stretchOf, xMode } from "./wishes.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./api.js").Run} Run
 * @typedef {import("./lines.js").Series} Series
 * @typedef {{key: string, uid: string, run: Run, label: string, place: number}} Side  place: from 1; it has the colour
 * @typedef {{uid: string, serial: number | null}} Named  serial: null for all runs */

const MOST = 50; // lines; more cannot be told apart
const POINTS = 1000;
const METRICS_A_REQUEST = 8;
const GATHER_MS = 40;

/** What each workload is; null for one that is not known to the server.
 * @type {{value: Map<string, Detail | null> | null}} */
export const details = signal(null);

/** What the address names. @returns {Named[]} */
export function named() {
  return choices.value.getAll("w").map(nameOf);
}

/** A word of the address: the uid escaped, so that what follows the colon is a run. @param {string} word @returns {Named} */
function nameOf(word) {
  const [, uid, serial] = /^(.*?)(?::(\d+))?$/s.exec(word) ?? [];
  try {
    return { uid: decodeURIComponent(uid), serial: serial === undefined ? null : Number(serial) };
  } catch {
    return { uid: word, serial: null };
  }
}

/** @param {Named} one */
export function wordOf({ uid, serial }) {
  return encodeURIComponent(uid) + (serial === null ? "" : `:${serial}`);
}

/** Every run that is compared, and how many the address names in all. @returns {{sides: Side[], all: number}} */
export function sidesOf() {
  const known = details.value ?? new Map();
  /** @type {Map<string, {uid: string, run: Run}>} */
  const found = new Map();
  for (const { uid, serial } of named()) {
    for (const run of known.get(uid)?.runs ?? []) {
      if (serial === null || run.serial === serial) found.set(`${uid}:${run.serial}`, { uid, run });
    }
  }
  const some = [...found].slice(0, MOST);
  const names = some.map(([, { run }]) => run.name ?? run.run_id);
  /** @param {string} uid */
  const runsOf = (uid) => some.filter(([, one]) => one.uid === uid).length;
  const sides = some.map(([key, { uid, run }], i) => {
    const alike = names.filter((name) => name === names[i]).length > 1;
    const label = [names[i], alike && names[i] !== uid && uid, runsOf(uid) > 1 && `run ${run.serial}`].filter(Boolean).join(" · ");
    return { key, uid, run, label, place: i + 1 };
  });
  return { sides, all: found.size };
}

/** The names of every metric of any of them. Losses first: they are what runs are compared by; what the machine says last. */
export function metricsOf() {
  const known = [...(details.value ?? new Map()).values()].filter((detail) => detail !== null);
  const names = new Set(known.flatMap((detail) => detail.metrics.map((/** @type {{name: string}} */ { name }) => name)));
  /** @param {string} name */
  const weight = (name) => (name.startsWith("system") ? 2 : name.includes("loss") ? 0 : 1);
  return [...names].sort((a, b) => weight(a) - weight(b) || a.localeCompare(b));
}

/** The newest value of a metric in a run, within the stretch shown. @param {Side} side @param {string} metric */
export function newestOf(side, metric) {
  const series = curveOf(metric).value?.series ?? [];
  return series.find((/** @type {Series} */ one) => one.workload_uid === side.uid && one.serial === side.run.serial && !one.replaced)?.value.at(-1) ?? null;
}

/** When each began, by its place; for elapsed time. @param {Side[]} sides */
export function startsBy(sides) {
  return startsOf(sides.map(({ place, run }) => ({ serial: place, started_at: run.started_at })));
}

/** @type {Map<string, {value: {key: string, body: unknown, series: Series[], trouble: string} | null}>} */
const curves = new Map();
/** @type {Map<string, number>} */
const watched = new Map();
let gathering = 0;

/** The points of a metric in all that is compared. @param {string} metric */
export function curveOf(metric) {
  const known = curves.get(metric) ?? signal(null);
  curves.set(metric, known);
  return known;
}

/** @param {string} metric @returns {() => void} to look away again */
export function watch(metric) {
  watched.set(metric, (watched.get(metric) ?? 0) + 1);
  hurry();
  return () => {
    const left = (watched.get(metric) ?? 1) - 1;
    if (left) watched.set(metric, left);
    else watched.delete(metric);
  };
}

/** Load what is watched and not yet as the address wants it. */
export function hurry() {
  clearTimeout(gathering);
  gathering = setTimeout(() => {
    const { key } = wish();
    const missing = [...watched.keys()].filter((metric) => curveOf(metric).value?.key !== key);
    loadCurves(missing).catch((error) => {
      for (const metric of missing) curveOf(metric).value ??= { key: "", body: null, series: [], trouble: error.message };
    });
  }, GATHER_MS);
}

/** Ask anew for all that is shown. @returns {Promise<void>} */
export async function refresh() {
  const uids = [...new Set(named().map(({ uid }) => uid))];
  const answers = await Promise.all(uids.map(async (uid) => {
    try {
      return /** @type {[string, Detail | null]} */ ([uid, await ask(`/workloads/${encodeURIComponent(uid)}`)]);
    } catch (error) {
      if (/** @type {any} */ (error).status === 404) return /** @type {[string, null]} */ ([uid, null]);
      throw error;
    }
  }));
  const before = details.value;
  if (!before || before.size !== answers.length || answers.some(([uid, detail]) => before.get(uid) !== detail)) details.value = new Map(answers);
  await loadCurves([...watched.keys()]);
}

/** What the server is asked for. It knows no elapsed time, so there a stretch covers that of all. */
function wish() {
  const mode = xMode(choices.value);
  const { sides } = sidesOf();
  const uids = [...new Set(sides.map(({ uid }) => uid))];
  const query = new URLSearchParams({ format: "columns", x: mode === "step" ? "step" : "time", max_points: String(POINTS) });
  let stretch = stretchOf(choices.value);
  if (stretch && mode === "elapsed") {
    const begun = [...startsBy(sides).values()];
    stretch = begun.length ? { lo: Math.min(...begun) + stretch.lo * 1000, hi: Math.max(...begun) + stretch.hi * 1000 } : null;
  }
  if (stretch) {
    query.set("from_x", String(Math.floor(stretch.lo)));
    query.set("to_x", String(Math.ceil(stretch.hi)));
  }
  for (const uid of uids) query.append("workload", uid);
  return { key: query.toString(), any: uids.length > 0 };
}

/** @param {string[]} metrics */
async function loadCurves(metrics) {
  const { key, any } = wish();
  if (!any) return;
  const batches = Array.from({ length: Math.ceil(metrics.length / METRICS_A_REQUEST) }, (_, i) => metrics.slice(i * METRICS_A_REQUEST, (i + 1) * METRICS_A_REQUEST));
  await Promise.all(batches.map(async (batch) => {
    const asked = new URLSearchParams(key);
    for (const metric of batch) asked.append("metric", metric);
    const body = await ask(`/metrics/data?${asked}`);
    if (key !== wish().key) return; // the reader has moved on
    for (const metric of batch) {
      if (curveOf(metric).value?.body === body) continue; // nothing new
      const series = body.series.filter((/** @type {Series} */ one) => one.metric === metric);
      curveOf(metric).value = { key, body, series, trouble: "" };
    }
  }));
}
