// What the address asks of the charts, and the questions to the server that follow. Pure.

/** @typedef {import("./lines.js").XMode} XMode
 * @typedef {{lo: number, hi: number}} Stretch
 * @typedef {{serial: number, started_at: number | null}} Begun
 * @typedef {{x: string, stretch: Stretch | null, points: number, key: string}} Wish
 *   x: as the API names it, step, time or a metric; stretch: in steps, Unix ms or the metric's unit;
 *   points: about how many of each series; key: tells wishes apart */

const POINTS = 1000; // a chart in a column of three is about 400 pixels wide
const POINTS_FULL = 4000; // one that fills the window is about 1,300

/** @param {URLSearchParams} query @returns {XMode} */
export function xMode(query) {
  if (query.get("xm")) return "metric";
  const x = query.get("x");
  return x === "time" || x === "elapsed" ? x : "step";
}

/** The zoomed part of the x axis, in the unit shown: steps, Unix ms, seconds, the metric's.
 * @param {URLSearchParams} query @returns {Stretch | null} */
export function stretchOf(query) {
  const lo = Number.parseFloat(query.get("from") ?? "");
  const hi = Number.parseFloat(query.get("to") ?? "");
  return hi > lo ? { lo, hi } : null;
}

/** Serial to Unix ms. @param {Begun[]} runs */
export function startsOf(runs) {
  const known = runs.filter((run) => run.started_at !== null);
  return new Map(known.map((run) => [run.serial, Number(run.started_at)]));
}

/** What the server is asked for. It knows no elapsed time, so there a stretch covers all runs'.
 * @param {URLSearchParams} query @param {Begun[]} runs @returns {Wish} */
export function wishOf(query, runs) {
  const mode = xMode(query);
  let stretch = stretchOf(query);
  if (stretch && mode === "elapsed") {
    const begun = [...startsOf(runs).values()];
    stretch = begun.length
      ? { lo: Math.min(...begun) + stretch.lo * 1000, hi: Math.max(...begun) + stretch.hi * 1000 }
      : null;
  }
  const x = mode === "metric" ? String(query.get("xm")) : mode === "elapsed" ? "time" : mode;
  const points = query.get("big") ? POINTS_FULL : POINTS;
  return { x, stretch, points, key: JSON.stringify([x, stretch, points]) };
}

/** @param {string} uid */
export function detailPath(uid) {
  return `/workloads/${encodeURIComponent(uid)}`;
}

/** @param {string} uid @param {string[]} metrics @param {Pick<Wish, "x" | "stretch"> & {points: number | null}} wish  points: null for all */
export function curvesPath(uid, metrics, wish) {
  const query = new URLSearchParams({ format: "columns", x: wish.x, replaced: "true" });
  if (wish.points !== null) query.set("max_points", String(wish.points));
  if (wish.stretch) {
    const whole = wish.x === "step" || wish.x === "time";
    query.set("from_x", String(whole ? Math.floor(wish.stretch.lo) : wish.stretch.lo));
    query.set("to_x", String(whole ? Math.ceil(wish.stretch.hi) : wish.stretch.hi));
  }
  for (const metric of metrics) query.append("metric", metric);
  return `${detailPath(uid)}/metrics/data?${query}`;
}

/** The workload that a path of this page names. @param {string} pathname */
export function uidOf(pathname) {
  const raw = pathname.slice("/workloads/".length);
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

const PINS = "primus-lens-pins";

/** The metrics a reader pinned: those in the address, else those of the last visit.
 * @param {URLSearchParams} query @returns {string[]} */
export function pinsOf(query) {
  if (query.has("pin")) return query.getAll("pin");
  try {
    const kept = JSON.parse(localStorage.getItem(PINS) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

/** @param {string[]} pins */
export function keepPins(pins) {
  localStorage.setItem(PINS, JSON.stringify(pins));
}
