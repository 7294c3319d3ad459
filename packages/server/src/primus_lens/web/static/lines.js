// From series as the API sends them to what one chart draws. Pure: no page, no clock.
import { median, spikes } from "./shapes.js";

/** @typedef {import("./say.js").Value} Value
 * @typedef {{metric: string, data_source: string, serial: number, run_id: string, total: number, thinned: boolean,
 *   step: number[], time: number[], value: Value[], x?: Value[], replaced?: boolean, revision?: number,
 *   workload_uid?: string, grain?: Grain, inside?: number, part?: number}} Series
 *   x: where the point stands when x is a metric. replaced: what an attempt had that was restarted since, the
 *   revision-th of that run. total: of what was asked for; inside: how many of these points are of it, if not all
 *   part: of what was overwritten, which stretch
 * @typedef {{origin: number, width: number}} Grain  the buckets a thinned series was thinned by, in the unit of x
 * @typedef {"step" | "time" | "elapsed" | "metric"} XMode
 * @typedef {"nan" | "up" | "down"} Oddity  not a number, +infinity, -infinity
 * @typedef {{x: number, kind: Oddity, step: number, line: number}} Mark
 * @typedef {{x: number, y: number, usual: number, step: number, line: number}} SpikeMark
 * @typedef {{key: string, label: string, colour: string, dashed: boolean, ghost: boolean, xs: number[], ys: Float64Array,
 *   steps: number[], total: number, shown: number, last: Value | null, lo?: Float64Array, hi?: Float64Array, grain?: Grain}} Line
 *   colour: any CSS colour or "var(--name)"; ys: NaN is a hole; lo, hi: a range drawn around it
 * @typedef {{from: number, to: number, steps: [number, number], attempts: number}} Band  a stretch of x that was run
 *   again; attempts: how many were overwritten there
 * @typedef {{lines: Line[], marks: Mark[], spikes: SpikeMark[], bands: Band[], unloggable: number}} Picture
 *   unloggable: how many values a log axis has no place for
 * @typedef {{x: XMode, log: boolean, starts: Map<number, number>, label: (one: Series) => string,
 *   colour: (one: Series) => string, dashed: (one: Series) => boolean}} How
 *   starts: serial to Unix ms, for elapsed time */

const GAP_OF_STRETCHES = 5; // times the usual gap between steps
const POINTS_A_BUCKET = 4; // first, lowest, highest, last
const ODDITIES = new Map([["NaN", "nan"], ["Infinity", "up"], ["-Infinity", "down"]]);

/** @param {Series[]} series of one metric @param {How} how @returns {Picture} */
export function picture(series, how) {
  const made = /** @type {Picture} */ ({ lines: [], marks: [], spikes: [], bands: [], unloggable: 0 });
  // Ghosts first: what counts is drawn over them.
  const ordered = [...series].sort((a, b) => Number(b.replaced ?? false) - Number(a.replaced ?? false)).flatMap(stretches);
  ordered.forEach((one) => addLine(made, one, how));
  made.bands = apart(made.bands);
  return made;
}

/** What restarts overwrote, each stretch by itself: between two of them nothing was run again.
 * @param {Series} one @returns {Series[]} */
function stretches(one) {
  const gaps = one.step.slice(1).map((step, i) => step - one.step[i]);
  const wide = GAP_OF_STRETCHES * median(gaps);
  const ends = one.replaced ? gaps.flatMap((gap, i) => (gap > wide ? [i + 1] : [])) : [];
  if (!ends.length) return [one];
  return [...ends, one.step.length].map((end, part) => {
    /** @template T @param {T[]} all */
    const cut = (all) => all.slice(ends[part - 1] ?? 0, end);
    return { ...one, part, step: cut(one.step), time: cut(one.time), value: cut(one.value), x: one.x && cut(one.x) };
  });
}

/** Bands that overlap as one: those of many ranks, or of many restarts, would hide the curve.
 * @param {Band[]} bands @returns {Band[]} */
function apart(bands) {
  const all = /** @type {Band[]} */ ([]);
  for (const band of [...bands].sort((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last && band.from <= last.to) {
      last.to = Math.max(last.to, band.to);
      last.steps = [Math.min(last.steps[0], band.steps[0]), Math.max(last.steps[1], band.steps[1])];
      last.attempts += 1;
    } else {
      all.push({ ...band });
    }
  }
  return all;
}

/** @param {Picture} made @param {Series} one @param {How} how */
function addLine(made, one, how) {
  const line = made.lines.length;
  const places = xPlaces(one, how);
  const order = ascending(places);
  const xs = order.map((i) => places[i]);
  const steps = order.map((i) => one.step[i]);
  const ys = new Float64Array(order.length);
  const ghost = one.replaced === true;
  order.forEach((i, at) => {
    const value = one.value[i];
    ys[at] = typeof value === "number" ? value : NaN;
    if (typeof value === "string" && !ghost) {
      made.marks.push({ x: xs[at], kind: /** @type {Oddity} */ (ODDITIES.get(value) ?? "nan"), step: one.step[i], line });
    } else if (how.log && Number(value) <= 0) {
      ys[at] = NaN;
      made.unloggable += 1;
    }
  });
  if (ghost && xs.length) made.bands.push(bandOf(xs, steps));
  if (!ghost) {
    for (const { at, usual } of spikes(ys)) made.spikes.push({ x: xs[at], y: ys[at], usual, step: steps[at], line });
  }
  made.lines.push({
    key: [one.workload_uid ?? "", one.serial, one.data_source, ghost, one.revision ?? 0, one.part ?? 0].join(" "),
    label: how.label(one) + (ghost ? ` (overwritten${Number(one.revision) > 1 ? `, ${one.revision}` : ""})` : ""),
    colour: how.colour(one),
    dashed: how.dashed(one),
    ghost,
    xs,
    ys,
    steps,
    total: one.total,
    shown: one.inside ?? one.value.length,
    last: one.value.at(-1) ?? null,
    grain: one.grain,
  });
}

/** @param {number[]} xs @param {number[]} steps @returns {Band} */
function bandOf(xs, steps) {
  let [low, high] = [steps[0], steps[0]];
  for (const step of steps) [low, high] = [Math.min(low, step), Math.max(high, step)];
  return { from: xs[0], to: xs[xs.length - 1], steps: [low, high], attempts: 1 };
}

/** @param {Series} one @param {How} how @returns {number[]} */
function xPlaces(one, how) {
  if (how.x === "step") return one.step;
  if (how.x === "time") return one.time;
  if (how.x === "metric") return (one.x ?? []).map(Number);
  const start = how.starts.get(one.serial) ?? one.time[0] ?? 0;
  return one.time.map((at) => (at - start) / 1000);
}

/** The same with the buckets the server thinned it by, so that each is drawn as one column.
 * @param {Series} one as answered @param {string} x as asked: step, time or a metric @param {number} points as asked @returns {Series} */
export function grained(one, x, points) {
  if (!one.thinned) return one;
  const xs = x === "step" ? one.step : x === "time" ? one.time : (one.x ?? []).map(Number);
  const width = (xs[xs.length - 1] - xs[0]) / Math.max(1, Math.floor(points / POINTS_A_BUCKET));
  return width > 0 ? { ...one, grain: { origin: xs[0], width } } : one;
}

/** The order that makes xs ascend, without what has no place; clocks may jump back. @param {number[]} xs */
function ascending(xs) {
  const order = /** @type {number[]} */ ([]);
  let sorted = true;
  for (let i = 0; i < xs.length; i += 1) {
    if (!Number.isFinite(xs[i])) continue;
    if (order.length && xs[i] < xs[order[order.length - 1]]) sorted = false;
    order.push(i);
  }
  if (!sorted) order.sort((a, b) => xs[a] - xs[b] || a - b);
  return order;
}

/** The fine points of a zoomed stretch between the coarse ones around it.
 * @param {Series[]} whole @param {Series[]} fine
 * @param {(one: Series, i: number) => boolean} before  is coarse point i left of the stretch
 * @param {(one: Series, i: number) => boolean} after */
export function refined(whole, fine, before, after) {
  const glued = whole.map((one) => {
    const part = fine.find((other) => same(one, other));
    if (!part) return { ...one, total: 0, inside: 0 };
    const left = one.value.map((_, i) => i).filter((i) => before(one, i));
    const right = one.value.map((_, i) => i).filter((i) => after(one, i));
    const within = part.value.map((_, i) => i).filter((i) => !before(part, i) && !after(part, i));
    /** @param {"step" | "time" | "value"} name */
    const glue = (name) => [
      ...left.map((i) => one[name][i]), ...within.map((i) => part[name][i]), ...right.map((i) => one[name][i]),
    ];
    const { grain, total } = part;
    return /** @type {Series} */ ({ ...one, grain, total, inside: part.value.length, step: glue("step"), time: glue("time"), value: glue("value") });
  });
  return [...glued, ...fine.filter((part) => !whole.some((one) => same(one, part)))];
}

/** Whether two answers speak of the same curve. @param {Series} one @param {Series} other */
export function same(one, other) {
  return one.serial === other.serial && one.data_source === other.data_source
    && (one.replaced ?? false) === (other.replaced ?? false) && one.revision === other.revision && one.workload_uid === other.workload_uid;
}
