// Numbers and times the way people read them. Pure: values in, text out.

/** A value as the API sends it: JSON has no NaN, so what it cannot say travels as a word.
 * @typedef {number | "NaN" | "Infinity" | "-Infinity"} Value */

const ODD = new Map([["NaN", "NaN"], ["Infinity", "∞"], ["-Infinity", "−∞"]]);
/** @type {[number, string][]} */
const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** 0.5123, 1,234, 12.35k, 3.4e-5, ∞; "–" for nothing. @param {Value | null | undefined} value */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return ODD.get(value) ?? value;
  if (!Number.isFinite(value)) return ODD.get(String(value)) ?? "NaN";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e15) return exponent(value);
  if (Number.isInteger(value) && size < 1e4) return count(value);
  for (const [scale, letter] of SCALES) {
    if (size >= 1e4 && size >= scale) return Number((value / scale).toPrecision(4)) + letter;
  }
  return String(Number(value.toPrecision(4)));
}

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20 }); // made once: making it takes longer than using it

/** 1,234,567: every digit. @param {number} value */
export function count(value) {
  return COUNT.format(value);
}

/** All digits a float64 has, for hovering. @param {Value} value */
export function exact(value) {
  return typeof value === "string" ? value : String(value);
}

/** @param {number} value @param {number} [digits] */
function exponent(value, digits = 3) {
  return Number(value.toPrecision(digits)).toExponential().replace("e+", "e");
}

/** Labels of one axis, with just the digits that tell its ticks apart.
 * @param {number[]} ticks @param {number} gap between two ticks; 0 on a log axis */
export function axisNumbers(ticks, gap) {
  const largest = Math.max(...ticks.map(Math.abs));
  if (gap === 0) return ticks.map(number);
  if (largest >= 1e15 || (largest < 1e-3 && largest > 0)) {
    const digits = Math.min(15, Math.max(3, Math.ceil(Math.log10(largest / gap)) + 1));
    return ticks.map((tick) => (tick === 0 ? "0" : exponent(tick, digits)));
  }
  const [scale, letter] = largest >= 1e4 ? scaleFor(largest) : [1, ""];
  const digits = digitsOf(gap / scale);
  return ticks.map((tick) => (tick === 0 ? "0" : (tick / scale).toFixed(digits) + letter));
}

/** How many decimals write this gap exactly: 0.25 has two. @param {number} gap */
function digitsOf(gap) {
  for (let digits = 0; digits < 12; digits += 1) {
    const shifted = gap * 10 ** digits;
    if (Math.abs(shifted - Math.round(shifted)) < 1e-6 * shifted) return digits;
  }
  return 12;
}

/** @param {number} size @returns {[number, string]} */
function scaleFor(size) {
  for (const [scale, letter] of SCALES) {
    if (size >= scale) return [scale, letter];
  }
  return [1, ""];
}

/** 45 s, 12 min 5 s, 1 h 05 min, 3 d 4 h. @param {number} seconds */
export function duration(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const total = Math.abs(seconds);
  if (total < 60) return `${sign}${Number(total.toPrecision(3))} s`;
  if (total < 3600) return `${sign}${Math.floor(total / 60)} min${tail(total % 60, "s")}`;
  if (total < 86400) return `${sign}${Math.floor(total / 3600)} h${tail((total % 3600) / 60, "min")}`;
  return `${sign}${Math.floor(total / 86400)} d${tail((total % 86400) / 3600, "h")}`;
}

/** @param {number} rest @param {string} unit */
function tail(rest, unit) {
  return Math.floor(rest) === 0 ? "" : ` ${Math.floor(rest)} ${unit}`;
}

/** 12.3/s, 4.1 s each: whichever is the number above 1. @param {number} perSecond steps */
export function rate(perSecond) {
  if (!(perSecond > 0)) return "0/s";
  return perSecond >= 1 ? `${number(Number(perSecond.toPrecision(3)))}/s` : `${duration(1 / perSecond)} each`;
}

/** 12.3k: a step where there is little room. @param {number} step */
export function short(step) {
  return step < 1e4 ? count(step) : number(Number(step.toPrecision(3)));
}

/** 45 s, 12 min, 3 h: the largest unit alone. @param {number} seconds */
export function roughly(seconds) {
  const [size, unit] = seconds < 60 ? [1, "s"] : seconds < 3600 ? [60, "min"] : seconds < 86400 ? [3600, "h"] : [86400, "d"];
  return `${Math.floor(seconds / Number(size))} ${unit}`;
}

/** How long ago, calmly: nothing moves faster than people can use.
 * @param {number} ms Unix milliseconds @param {number} now the same */
export function age(ms, now) {
  const seconds = Math.max(0, (now - ms) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 30 * 86400) return `${Math.floor(seconds / 86400)} d ago`;
  return local(ms).slice(0, 10);
}

/** 2026-11-23 15:44:13 in the reader's own time zone. @param {number} ms */
export function local(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** 15:44:13, local. @param {number} ms */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** 2026-11-23 14:44:13 UTC. @param {number} ms */
export function utc(ms) {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Ticks of a time axis: the day once, then only what changes.
 * @param {number[]} ticks Unix milliseconds @param {number} gap between two ticks, milliseconds */
export function axisTimes(ticks, gap) {
  let day = "";
  return ticks.map((tick) => {
    const today = local(tick).slice(0, 10);
    const changed = today !== day;
    day = today;
    if (gap >= 86400e3) return today.slice(gap >= 300 * 86400e3 ? 0 : 5);
    const time = gap < 60e3 ? clock(tick) + fraction(tick, gap) : clock(tick).slice(0, 5);
    return changed ? `${time}\n${today.slice(5)}` : time;
  });
}

/** @param {number} ms @param {number} gap */
function fraction(ms, gap) {
  return gap < 1000 ? `.${String(Math.floor(ms) % 1000).padStart(3, "0")}` : "";
}

/** @param {number} n */
function two(n) {
  return String(n).padStart(2, "0");
}

const ALERT_KINDS = /** @type {Record<string, string>} */ ({
  nonfinite: "not finite", loss_spike: "loss spike", stall: "stalled", throughput_drop: "slow", divergence: "diverging",
});

/** What an alert is called in a word or two. @param {string} kind */
export function alertKind(kind) {
  return ALERT_KINDS[kind] ?? kind.replaceAll("_", " ");
}
