// What is worked out of a curve's points: a smoothed curve, spikes, fewer points. Pure.
//
// A curve is two columns of equal length, xs ascending; a y that is NaN is a hole.

/** @typedef {ArrayLike<number>} Column
 * @typedef {{at: number, usual: number}} Spike  at: place in the column; usual: the median around it */

const SMOOTHING_GRAIN = 1000; // the smoothing weight is per thousandth of the width shown

/** Exponential moving average weighted by distance in x, so that thinned and uneven curves are smoothed alike.
 * Debiased: the first points are no pull towards zero.
 * @param {Column} xs @param {Column} ys @param {number} weight from 0, nothing, to below 1
 * @param {number} width of x shown
 * @returns {Float64Array}
 * Method: time weighted EMA, as Weights & Biases draws it. */
export function smoothed(xs, ys, weight, width) {
  const out = new Float64Array(ys.length).fill(NaN);
  let mean = 0;
  let trust = 0;
  let before = NaN;
  for (let i = 0; i < ys.length; i += 1) {
    const y = ys[i];
    if (!Number.isFinite(y)) continue;
    const gap = Number.isNaN(before) || width <= 0 ? 1 : ((xs[i] - before) / width) * SMOOTHING_GRAIN;
    const keep = weight ** Math.max(gap, 1e-3);
    mean = mean * keep + y * (1 - keep);
    trust = trust * keep + (1 - keep);
    out[i] = mean / trust;
    before = xs[i];
  }
  return out;
}

const SPIKE_WINDOW = 12; // points to each side that say what is usual
const SPIKE_SCALE = 10; // times the usual distance from the usual
const SPIKE_LONGEST = 4; // points: what stays is a change, not a spike
const SPIKES_AT_MOST = 200;

/** Where a curve leaves what is usual around it and comes back.
 * @param {Column} ys @returns {Spike[]} */
export function spikes(ys) {
  const places = /** @type {number[]} */ ([]);
  for (let i = 0; i < ys.length; i += 1) if (Number.isFinite(ys[i])) places.push(i);
  if (places.length < SPIKE_WINDOW) return [];
  const jumps = places.slice(1).map((at, i) => Math.abs(ys[at] - ys[places[i]]));
  const usualJump = median(jumps);
  const found = /** @type {Spike[]} */ ([]);
  for (let i = 1; i < places.length - 1 && found.length < SPIKES_AT_MOST; i += 1) {
    if (jumps[i - 1] <= 4 * usualJump) continue; // cheap, and most points end here
    const around = neighbours(ys, places, i);
    const usual = median(around);
    const spread = median(around.map((y) => Math.abs(y - usual))) || Math.abs(usual) * 1e-3 || 1e-12;
    const limit = SPIKE_SCALE * spread;
    if (Math.abs(ys[places[i]] - usual) <= limit) continue;
    let peak = i;
    let end = i;
    while (end < places.length && Math.abs(ys[places[end]] - usual) > limit) {
      if (Math.abs(ys[places[end]] - usual) > Math.abs(ys[places[peak]] - usual)) peak = end;
      end += 1;
    }
    const top = ys[places[peak]];
    const [before, after] = [top - ys[places[i - 1]], top - ys[places[end]]];
    // On a slope one shoulder lies higher and one lower: nothing stands out there.
    const standsOut = Math.min(Math.abs(before), Math.abs(after)) > limit / 2 && before * after > 0;
    if (standsOut && end - i <= SPIKE_LONGEST && end < places.length) found.push({ at: places[peak], usual });
    i = end - 1;
  }
  return found;
}

/** @param {Column} ys @param {number[]} places @param {number} i */
function neighbours(ys, places, i) {
  const around = [];
  for (let j = Math.max(0, i - SPIKE_WINDOW); j <= Math.min(places.length - 1, i + SPIKE_WINDOW); j += 1) {
    if (j !== i) around.push(ys[places[j]]);
  }
  return around;
}

/** The middle of some numbers; NaN of none. @param {number[]} numbers */
export function median(numbers) {
  if (!numbers.length) return NaN;
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Which points to keep of a curve that grew: of each of most/4 buckets the first, lowest, highest and last
 * finite one, and the first that is not finite; ascending places. As the server thins.
 * @param {Column} xs @param {(number | string)[]} values @param {number} most */
export function kept(xs, values, most) {
  const n = values.length;
  if (n <= most) return [...Array(n).keys()];
  const buckets = Math.max(1, Math.floor(most / 4));
  const width = (xs[n - 1] - xs[0]) / buckets || 1;
  const keep = new Set();
  /** @type {Map<string, number>} */
  let best = new Map();
  let bucket = 0;
  for (let i = 0; i <= n; i += 1) {
    const place = i < n ? Math.min(buckets - 1, Math.floor((xs[i] - xs[0]) / width)) : -1;
    if (place !== bucket) {
      for (const at of best.values()) keep.add(at);
      best = new Map();
      bucket = place;
    }
    if (i === n) break;
    const value = values[i];
    if (typeof value === "string" || !Number.isFinite(value)) {
      if (!best.has(String(value))) best.set(String(value), i);
      continue;
    }
    if (!best.has("first")) best.set("first", i);
    if (!best.has("low") || value < Number(values[best.get("low") ?? 0])) best.set("low", i);
    if (!best.has("high") || value > Number(values[best.get("high") ?? 0])) best.set("high", i);
    best.set("last", i);
  }
  return [...keep].sort((a, b) => a - b);
}

/** The first place whose x is not below. @param {Column} xs ascending @param {number} x */
export function placeOf(xs, x) {
  let lo = 0;
  let hi = xs.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (xs[middle] < x) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}
