// Which ranks are slower than the others: times of many ranks laid over the same steps. Pure.
import { median } from "./shapes.js";

/** @typedef {{key: string, label: string, title?: string, steps: number[], values: number[]}} Rank  title: more of it; values: times, NaN for none
 * @typedef {{rank: Rank, cells: Float64Array, usual: number, excess: number, share: number, slow: boolean}} Judged
 *   cells: its time in each column of steps; usual: the median of them; excess: the median over columns of its time
 *   less the median of all ranks there; share: the same as a part of that median
 * @typedef {{from: number, to: number, columns: number, usual: Float64Array, ranks: Judged[], limit: number, enough: boolean}} Verdict
 *   usual: the median over ranks in each column; limit: an excess beyond it is slow; enough: ranks to judge by */

const COLUMNS = 240;
const RANKS_AT_LEAST = 3; // of two, nobody knows which is the slow one
export const BEYOND = 5; // times the usual spread between ranks
const MAD_TO_SIGMA = 1.4826; // makes the median distance comparable to a standard deviation
const SMALLEST_SHARE = 0.01; // of a step: less is not worth a name, however alike the others are

/** @param {Rank[]} ranks @returns {Verdict}
 * Method: per column the median over ranks; per rank the median of its distances from it; slow is beyond
 * 5 scaled median absolute deviations of these distances between ranks. */
export function judged(ranks) {
  const steps = ranks.flatMap((rank) => [rank.steps[0], rank.steps.at(-1)]).filter((step) => step !== undefined);
  const from = steps.reduce((low, step) => Math.min(low, Number(step)), Infinity);
  const to = steps.reduce((high, step) => Math.max(high, Number(step)), -Infinity);
  const columns = from > to ? 0 : Math.min(COLUMNS, to - from + 1);
  const rows = ranks.map((rank) => cellsOf(rank, { from, to, columns }));
  const usual = Float64Array.from({ length: columns }, (_, at) => median(rows.map((row) => row[at]).filter(Number.isFinite)));
  const excesses = rows.map((row) => median([...row].map((time, at) => time - usual[at]).filter(Number.isFinite)));
  const known = excesses.filter(Number.isFinite);
  const middle = median(known);
  const step = median([...usual].filter(Number.isFinite));
  const spread = MAD_TO_SIGMA * median(known.map((excess) => Math.abs(excess - middle)));
  const limit = middle + Math.max(BEYOND * spread, SMALLEST_SHARE * Math.abs(step));
  const enough = known.length >= RANKS_AT_LEAST;
  return {
    from, to, columns, usual, limit, enough,
    ranks: ranks.map((rank, i) => ({
      rank,
      cells: rows[i],
      usual: median([...rows[i]].filter(Number.isFinite)),
      excess: excesses[i],
      share: excesses[i] / step,
      slow: enough && excesses[i] > limit,
    })),
  };
}

/** The median time of a rank in each column; NaN where it has none.
 * @param {Rank} rank @param {{from: number, to: number, columns: number}} grid */
function cellsOf({ steps, values }, { from, to, columns }) {
  /** @type {number[][]} */
  const found = Array.from({ length: columns }, () => []);
  const width = (to - from + 1) / columns;
  steps.forEach((step, i) => {
    if (Number.isFinite(values[i])) found[Math.min(columns - 1, Math.floor((step - from) / width))].push(values[i]);
  });
  return Float64Array.from(found, median);
}

/** The steps of a column. @param {Verdict} verdict @param {number} at @returns {[number, number]} */
export function stepsOf({ from, to, columns }, at) {
  const width = (to - from + 1) / columns;
  const first = Math.ceil(from + at * width);
  return [first, Math.max(first, Math.ceil(from + (at + 1) * width) - 1)];
}

const TIMING = /(^|[^a-z])(time|times|duration|latency|elapsed|seconds|secs?|ms|wait|s)([^a-z]|$)/i;
const RANK_IN_NAME = /(^|[^a-z])(rank|gpu|worker|device)([ _.:-]?)(\d+)(?=$|[^0-9])/i;

/** The metrics to compare ranks by: likely timings first. A metric a rank (`rank_3/step_time`) makes one family.
 * @param {{name: string}[]} metrics @returns {{name: string, timing: boolean, members: {name: string, rank: string}[]}[]} */
export function families(metrics) {
  /** @type {Map<string, {name: string, rank: string}[]>} */
  const found = new Map();
  for (const { name } of metrics) {
    const match = RANK_IN_NAME.exec(name);
    const family = match ? name.replace(RANK_IN_NAME, "$1$2$3*") : name;
    found.set(family, [...(found.get(family) ?? []), { name, rank: match ? match[4] : "" }]);
  }
  const all = [...found].map(([name, members]) => ({ name, timing: TIMING.test(name), members }));
  return all.sort((a, b) => weight(b) - weight(a) || a.name.localeCompare(b.name));
}

/** @param {{name: string, timing: boolean}} family */
function weight({ name, timing }) {
  return Number(timing) * 4 + Number(timing && /step|iter/i.test(name)) * 2 - Number(/system|eval|val/i.test(name));
}
