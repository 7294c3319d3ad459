// Several curves as one: their mean and the range between the lowest and the highest of them. Pure.
import { placeOf } from "./shapes.js";

/** @typedef {{xs: ArrayLike<number>, ys: ArrayLike<number>}} Curve  xs ascend; a y that is NaN is a hole
 * @typedef {{xs: number[], ys: Float64Array, lo: Float64Array, hi: Float64Array}} Mean */

const PLACES = 600; // more are finer than the pixels of a chart

/** The mean of the curves that are there at each place, each counting the same; the range is that of all their points,
 * so no spike of one is hidden. Where the curves have few places those are taken, else the stretch is cut into even ones.
 * @param {Curve[]} curves @returns {Mean} */
export function meanOf(curves) {
  const exact = [...new Set(curves.flatMap(({ xs }) => [...Array(xs.length).keys()].map((i) => xs[i])))].sort((a, b) => a - b);
  const even = exact.length > PLACES;
  const xs = even ? evenPlaces(exact[0], exact[exact.length - 1]) : exact;
  const sum = new Float64Array(xs.length);
  const n = new Float64Array(xs.length);
  const lo = new Float64Array(xs.length).fill(Infinity);
  const hi = new Float64Array(xs.length).fill(-Infinity);
  const half = even ? (xs[1] - xs[0]) / 2 : 0;
  for (const curve of curves) {
    xs.forEach((x, place) => {
      const here = around(curve, x, half);
      if (!here) return;
      sum[place] += here.mean;
      n[place] += 1;
      lo[place] = Math.min(lo[place], here.lo);
      hi[place] = Math.max(hi[place], here.hi);
    });
  }
  return {
    xs,
    ys: sum.map((total, i) => (n[i] ? total / n[i] : NaN)),
    lo: lo.map((y) => (Number.isFinite(y) ? y : NaN)),
    hi: hi.map((y) => (Number.isFinite(y) ? y : NaN)),
  };
}

/** @param {number} from @param {number} to */
function evenPlaces(from, to) {
  return Array.from({ length: PLACES }, (_, i) => from + ((i + 0.5) * (to - from)) / PLACES);
}

/** What a curve says within half a place of x; between two of its points what the line there says.
 * @param {Curve} curve @param {number} x @param {number} half */
function around({ xs, ys }, x, half) {
  const from = placeOf(xs, x - half);
  let [sum, n, lo, hi] = [0, 0, Infinity, -Infinity];
  for (let i = from; i < xs.length && xs[i] <= x + half; i += 1) {
    if (Number.isNaN(ys[i])) continue;
    sum += ys[i];
    n += 1;
    lo = Math.min(lo, ys[i]);
    hi = Math.max(hi, ys[i]);
  }
  if (n) return { mean: sum / n, lo, hi };
  const right = placeOf(xs, x);
  if (right === 0 || right === xs.length || Number.isNaN(ys[right]) || Number.isNaN(ys[right - 1])) return null;
  const between = ys[right - 1] + ((ys[right] - ys[right - 1]) * (x - xs[right - 1])) / (xs[right] - xs[right - 1]);
  return { mean: between, lo: between, hi: between };
}
