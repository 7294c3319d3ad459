// From series as the API sends them to what one chart draws. Pure: no page, no clock.
//
// uPlot wants one ascending x column shared by all lines: a hole that only comes from this sharing is
// `undefined` and is bridged, a value that cannot be drawn is `null` and breaks the line.

/** @typedef {import("./api.js").Series} Series
 * @typedef {"step" | "time" | "elapsed"} XMode
 * @typedef {"nan" | "up" | "down"} Oddity  not a number, +infinity, -infinity
 * @typedef {{x: number, kind: Oddity, step: number, line: number}} Mark
 * @typedef {{serial: number, source: string, total: number, shown: number, last: import("./say.js").Value | null,
 *   lone: number[]}} Line  lone: places in the column of points without a neighbour to join
 * @typedef {{columns: any[], lines: Line[], marks: Mark[], unloggable: number, steps: Map<number, number>[]}} Picture
 *   unloggable: values that a log axis has no place for; steps: per line, x to step */

const ODDITIES = new Map([["NaN", "nan"], ["Infinity", "up"], ["-Infinity", "down"]]);

/** @param {Series[]} series of one metric
 * @param {{x: XMode, log: boolean, starts: Map<number, number>}} how  starts: serial to Unix ms
 * @returns {Picture} */
export function picture(series, how) {
  const marks = /** @type {Mark[]} */ ([]);
  let unloggable = 0;
  const tables = series.map((one, line) => {
    const xs = places(one, how);
    const order = ascending(xs);
    const ys = order.map((i) => {
      const value = one.value[i];
      if (typeof value === "string") {
        marks.push({ x: xs[i], kind: /** @type {Oddity} */ (ODDITIES.get(value) ?? "nan"), step: one.step[i], line });
        return null;
      }
      if (how.log && value <= 0) {
        unloggable += 1;
        return null;
      }
      return value;
    });
    return { xs: apart(order.map((i) => xs[i])), ys, steps: order.map((i) => one.step[i]) };
  });
  const columns = join(tables);
  return {
    columns,
    lines: series.map((one, i) => ({
      serial: one.serial,
      source: one.data_source,
      total: one.total,
      shown: one.value.length,
      last: one.value.at(-1) ?? null,
      lone: lonePlaces(columns[i + 1]),
    })),
    marks,
    unloggable,
    steps: tables.map(({ xs, steps }) => new Map(xs.map((x, i) => [x, steps[i]]))),
  };
}

/** @param {Series} one @param {{x: XMode, starts: Map<number, number>}} how */
function places(one, how) {
  if (how.x === "step") return one.step;
  if (how.x === "time") return one.time;
  const start = how.starts.get(one.serial) ?? one.time[0] ?? 0;
  return one.time.map((at) => (at - start) / 1000);
}

/** The order that makes xs ascend; clocks may jump back. @param {number[]} xs */
function ascending(xs) {
  const order = xs.map((_, i) => i);
  if (xs.some((x, i) => i > 0 && x < xs[i - 1])) order.sort((a, b) => xs[a] - xs[b] || a - b);
  return order;
}

/** Several points at one millisecond stay several: each gets a place of its own, a hair later.
 * @param {number[]} xs ascending */
function apart(xs) {
  let last = -Infinity;
  return xs.map((x) => {
    last = x > last ? x : last + Math.max(1e-6, Math.abs(last) * 4 * Number.EPSILON);
    return last;
  });
}

/** @param {{xs: number[], ys: (number | null)[]}[]} tables */
function join(tables) {
  if (tables.length === 1) return [tables[0].xs, tables[0].ys];
  const all = [...new Set(tables.flatMap(({ xs }) => xs))].sort((a, b) => a - b);
  const place = new Map(all.map((x, i) => [x, i]));
  return [all, ...tables.map(({ xs, ys }) => {
    const column = Array(all.length).fill(undefined);
    xs.forEach((x, i) => { column[place.get(x) ?? 0] = ys[i]; });
    return column;
  })];
}

/** Where a point stands alone: no line reaches it, so it must be drawn as a dot.
 * @param {(number | null | undefined)[]} column */
function lonePlaces(column) {
  const lone = [];
  let before = null;
  let open = -1; // a value whose left neighbour is no value, until its right one is known
  for (let i = 0; i < column.length; i += 1) {
    const value = column[i];
    if (value === undefined) continue;
    if (value === null) {
      if (open >= 0) lone.push(open);
      open = -1;
    } else {
      open = before === null ? i : -1;
    }
    before = value;
  }
  if (open >= 0) lone.push(open);
  return lone;
}

/** The fine points of a zoomed stretch between the coarse ones around it.
 * @param {Series[]} whole @param {Series[]} fine
 * @param {(one: Series, i: number) => boolean} before  is coarse point i left of the stretch
 * @param {(one: Series, i: number) => boolean} after */
export function refined(whole, fine, before, after) {
  return whole.map((one) => {
    const part = fine.find((other) => other.serial === one.serial && other.data_source === one.data_source);
    if (!part) return one;
    const left = one.value.map((_, i) => i).filter((i) => before(one, i));
    const right = one.value.map((_, i) => i).filter((i) => after(one, i));
    const within = part.value.map((_, i) => i).filter((i) => !before(part, i) && !after(part, i));
    /** @param {"step" | "time" | "value"} name */
    const glue = (name) => [
      ...left.map((i) => one[name][i]), ...within.map((i) => part[name][i]), ...right.map((i) => one[name][i]),
    ];
    return /** @type {Series} */ ({ ...one, step: glue("step"), time: glue("time"), value: glue("value") });
  });
}

/** Metrics by what stands before the first "/": those without one first, `system` last.
 * @template {{name: string}} T @param {T[]} metrics @returns {[string, T[]][]} */
export function grouped(metrics) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const metric of metrics) {
    const prefix = metric.name.includes("/") ? metric.name.slice(0, metric.name.indexOf("/")) : "";
    groups.set(prefix, [...(groups.get(prefix) ?? []), metric]);
  }
  /** @param {string} prefix */
  const rank = (prefix) => (prefix === "" ? 0 : prefix === "system" ? 2 : 1);
  return [...groups].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

/** A filter that takes what was typed as it stands and, where it is one, as a regular expression.
 * @param {string} text @returns {{matches: (name: string) => boolean, broken: boolean}} */
export function nameFilter(text) {
  const plain = text.toLowerCase();
  let pattern = null;
  try {
    pattern = new RegExp(text, "i");
  } catch {
    return { matches: (name) => name.toLowerCase().includes(plain), broken: true };
  }
  const known = pattern;
  return { matches: (name) => name.toLowerCase().includes(plain) || known.test(name), broken: false };
}
