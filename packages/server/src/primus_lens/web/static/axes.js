// Ticks and ranges of a chart's axes: what people count in.
import * as say from "./say.js";

/** @typedef {import("./lines.js").XMode} XMode
 * @typedef {(name: string) => string} Paint  the value of a CSS variable */

const CROWDED_DECADES = 4; // above this a log axis keeps whole decades only
const STEP_GAPS = [...Array(16)].flatMap((_, power) => [1, 2, 5].map((digit) => digit * 10 ** power));
const ELAPSED_GAPS = [
  0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800,
  21600, 43200, 86400, 172800, 432000, 864000, 1728000,
]; // seconds

/** Even ticks whatever the size of the values: uPlot's own end at 1e-16 and at 1e32. It takes no gap that it does
 * not know, so it is told one that it takes, and the ticks are laid by ours. */
function even() {
  let gap = 1;
  return {
    incrs: (/** @type {any} */ _u, /** @type {number} */ _axis, /** @type {number} */ lo, /** @type {number} */ hi, /** @type {number} */ length, /** @type {number} */ space) => {
      const power = Math.floor(Math.log10(hi - lo));
      const gaps = [-3, -2, -1, 0].flatMap((by) => ["1", "2", "2.5", "5"].map((digit) => Number(`${digit}e${power + by}`)));
      gap = gaps.find((one) => (one / (hi - lo)) * length >= space) ?? hi - lo;
      return [Math.max(5, hi - lo)];
    },
    splits: (/** @type {any} */ _u, /** @type {number} */ _axis, /** @type {number} */ lo, /** @type {number} */ hi) => {
      const first = Math.ceil(lo / gap);
      const count = Math.floor(hi / gap) - first + 1;
      return Array.from({ length: count > 0 ? Math.min(200, count) : 0 }, (_, i) => Number(((first + i) * gap).toPrecision(15)));
    },
    values: (/** @type {any} */ _u, /** @type {number[]} */ ticks) => say.axisNumbers(ticks, gap),
  };
}

/** @param {XMode} x @param {Paint} paint */
export function xAxis(x, paint) {
  const words = { step: stepNumbers, time: say.axisTimes, elapsed: durations };
  const gaps = { step: STEP_GAPS, elapsed: ELAPSED_GAPS };
  return {
    ...axisLook(paint),
    size: x === "time" ? 38 : 24,
    space: x === "time" ? 76 : 64,
    ...(x === "step" || x === "elapsed" ? { incrs: gaps[x] } : {}),
    ...(x === "metric" ? even() : { values: (/** @type {any} */ _u, /** @type {number[]} */ ticks, /** @type {any} */ _axis, /** @type {any} */ _space, /** @type {number} */ gap) => words[x](ticks, gap) }),
  };
}

/** There is no step below zero, though a lone one at zero has room to its left. @param {number[]} ticks @param {number} gap */
function stepNumbers(ticks, gap) {
  return say.axisNumbers(ticks, gap).map((word, i) => (ticks[i] < 0 ? "" : word));
}

/** @param {number[]} ticks seconds */
function durations(ticks) {
  return ticks.map((tick) => (tick === 0 ? "0" : say.duration(tick)));
}

/** @param {boolean} log @param {Paint} paint */
export function yAxis(log, paint) {
  return {
    ...axisLook(paint),
    size: (/** @type {any} */ _u, /** @type {string[] | null} */ words) => 16 + 7 * Math.max(4, ...(words ?? []).map((word) => (word ?? "").length)),
    space: 32,
    ...(log ? { splits: logTicks, filter: logLabels, values: logNumbers } : even()),
  };
}

/** @param {Paint} paint */
function axisLook(paint) {
  return {
    stroke: paint("--dim"),
    font: `11px ${paint("--face")}`,
    gap: 6,
    grid: { stroke: paint("--grid"), width: 1 },
    ticks: { show: false },
    border: { show: true, stroke: paint("--line"), width: 1 },
  };
}

/** 1, 2, 3 … 9 of each decade; where not two of them fit, four even ones.
 * @param {any} _u @param {number} _axis @param {number} lo @param {number} hi */
function logTicks(_u, _axis, lo, hi) {
  const ticks = [];
  const digits = Math.log10(hi / lo) > CROWDED_DECADES ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let power = Math.floor(Math.log10(lo)); power <= Math.log10(hi); power += 1) {
    for (const digit of digits) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= lo && tick <= hi) ticks.push(tick);
    }
  }
  if (ticks.length >= 2) return ticks;
  return [0.125, 0.375, 0.625, 0.875].map((part) => Number((lo + (hi - lo) * part).toPrecision(3)));
}

/** Which of them are written: all when few, else 1, 2, 5, else whole decades.
 * @param {any} _u @param {number[]} ticks */
function logLabels(_u, ticks) {
  const decades = Math.log10(ticks[ticks.length - 1] / ticks[0]);
  if (ticks.length <= 5) return ticks;
  const every = Math.ceil(decades / 6);
  return ticks.map((tick) => {
    const [digit, power] = tick.toExponential(0).split("e");
    if (decades <= 2.2) return "125".includes(digit) ? tick : null;
    return digit === "1" && Number(power) % every === 0 ? tick : null;
  });
}

/** @param {any} _u @param {(number | null)[]} ticks */
function logNumbers(_u, ticks) {
  return ticks.map((tick) => (tick === null ? "" : say.number(tick)));
}

/** The range of y with some air around it.
 * @param {number} lo Infinity when there is nothing @param {number} hi @param {boolean} log @returns {[number, number]} */
export function airy(lo, hi, log) {
  if (log) {
    if (!(lo > 0) || lo === Infinity) return [0.1, 1];
    const room = Math.max(1.05, (hi / lo) ** 0.06);
    return [lo / room, hi * room];
  }
  if (lo > hi) return [0, 1];
  if (lo === hi) return [lo - (Math.abs(lo) * 0.1 || 1), Math.min(Number.MAX_VALUE, hi + (Math.abs(hi) * 0.1 || 1))];
  const room = (hi - lo) * 0.06;
  // A curve that never goes below zero gets no room there: a loss of -0.1 would be a lie.
  return [lo >= 0 && lo - room < 0 ? 0 : lo - room, hi + room];
}
