// Fetches the points of the metrics somebody is looking at, several to a request, and no others; lays
// what comes live at their ends.
import { signal } from "./vendor/index.js";
import { ask, remember } from "./api.js";
import { early } from "./early.js";
import { grained, refined, same } from "./lines.js";
import { kept } from "./shapes.js";
import { curvesPath } from "./wishes.js";

/** @typedef {import("./lines.js").Series} Series
 * @typedef {import("./wishes.js").Wish} Wish
 * @typedef {{series: Series[], trouble: string}} Curve
 * @typedef {Pick<Series, "metric" | "data_source" | "serial" | "run_id" | "step" | "time" | "value">} Delta
 * @typedef {{key: string, body: any, x: string, whole: Series[] | null, fine: Series[] | null, wish: Wish}} Loaded
 *   whole: of all x, when it was asked for; fine: of the stretch shown, null when that is all */

const METRICS_A_REQUEST = 12;
const QUERY_LENGTH = 4000; // servers and proxies cut request lines at 8 KiB
const GATHER_MS = 40; // scrolling reveals charts one by one; ask for them together
const ANEW_MS = 1000; // how soon a curve is asked for again whose past has changed
const OVERGROWN = 2; // times the points asked for: then a curve that grew is thinned

/** @param {string} uid @param {() => Wish} wanted @param {(metrics: string[]) => void} onWatch  told when other metrics are looked at */
export function curvesOf(uid, wanted, onWatch) {
  /** @type {Map<string, {value: Curve | null}>} */
  const curves = new Map();
  /** @type {Map<string, Loaded>} */
  const loaded = new Map();
  /** @type {Map<string, number>} metric to how many places on the page look at it */
  const watched = new Map();
  const anew = new Set();
  let gathering = 0;
  let again = 0;
  /** News that overtook an answer on its way: the answer may not have them. @type {Map<string, Delta[]>} */
  const overtaking = new Map();
  let asking = 0;
  const coming = whileAsking(early.curves.then((first) => {
    if (first) take(first.metrics, remember(first.answer), wanted(), first.answer.path);
  }));

  /** @template T @param {Promise<T>} answered @returns {Promise<T>} */
  async function whileAsking(answered) {
    asking += 1;
    try {
      return await answered;
    } finally {
      asking -= 1;
      if (!asking) overtaking.clear();
    }
  }

  /** @param {string} metric @returns {{value: Curve | null}} */
  function curve(metric) {
    const known = curves.get(metric) ?? signal(null);
    curves.set(metric, known);
    return known;
  }

  /** @param {string[]} metrics */
  async function load(metrics) {
    await coming;
    const wish = wanted();
    await Promise.all(batches(metrics).map((batch) => {
      const path = curvesPath(uid, batch, wish);
      return whileAsking(ask(path).then((body) => take(batch, body, wish, path)));
    }));
  }

  /** @param {string[]} batch @param {any} body @param {Wish} wish @param {string} path the question it answers */
  function take(batch, body, wish, path) {
    if (wish.key !== wanted().key || path !== curvesPath(uid, batch, wish)) return; // the reader has moved on
    for (const metric of batch) {
      const before = loaded.get(metric);
      if (before && before.body === body && before.key === wish.key) continue;
      const series = body.series.filter((/** @type {Series} */ one) => one.metric === metric)
        .map((/** @type {Series} */ one) => grained(one, wish.x, wish.points));
      const known = before && before.x === wish.x ? before.whole : null;
      const now = { key: wish.key, body, x: wish.x, whole: wish.stretch ? known : series, fine: wish.stretch ? series : null, wish };
      loaded.set(metric, now);
      for (const delta of overtaking.get(metric) ?? []) extended(now, beyond(delta, series));
      show(metric);
    }
  }

  /** @param {string} metric */
  function show(metric) {
    const known = loaded.get(metric);
    if (!known) return;
    const { whole, fine, wish } = known;
    curve(metric).value = { series: fine && whole ? inside(whole, fine, wish) : fine ?? whole ?? [], trouble: "" };
  }

  /** Load what is watched but not yet as wished. */
  function hurry() {
    clearTimeout(gathering);
    gathering = setTimeout(async () => {
      await coming;
      const key = wanted().key;
      onWatch([...watched.keys()]);
      const missing = [...watched.keys()].filter((metric) => loaded.get(metric)?.key !== key);
      load(missing).catch((error) => {
        for (const metric of missing) {
          if (!curve(metric).value) curve(metric).value = { series: [], trouble: error.message };
        }
      });
    }, GATHER_MS);
  }

  /** Points that have just been logged. Those of steps known already change the past: it is asked for anew.
   * @param {Delta[]} deltas */
  function append(deltas) {
    const touched = new Set(deltas.map(({ metric }) => metric));
    for (const metric of touched) {
      const news = deltas.filter((one) => one.metric === metric && one.step.length);
      if (asking) overtaking.set(metric, [...overtaking.get(metric) ?? [], ...news]);
      const known = loaded.get(metric);
      if (!known) continue;
      const { x } = known.wish;
      const simple = (x === "step" || x === "time") && news.every((one) => extended(known, one));
      if (simple) show(metric);
      else askAnew(metric);
    }
  }

  /** @param {string} metric */
  function askAnew(metric) {
    anew.add(metric);
    again ||= setTimeout(() => {
      again = 0;
      const metrics = [...anew].filter((one) => watched.has(one)).sort();
      anew.forEach((one) => { if (!watched.has(one)) loaded.delete(one); });
      anew.clear();
      load(metrics).catch(() => undefined); // the pulse says it when the server is away
    }, ANEW_MS);
  }

  return {
    curve,
    hurry,
    append,
    /** Refresh everything watched; what is not will be asked for when it is. */
    refresh() {
      for (const metric of loaded.keys()) if (!watched.has(metric)) loaded.delete(metric);
      return load([...watched.keys()].sort());
    },
    /** @param {string} metric @returns {() => void} to look away again */
    watch(metric) {
      watched.set(metric, (watched.get(metric) ?? 0) + 1);
      hurry();
      return () => {
        const left = (watched.get(metric) ?? 1) - 1;
        if (left) watched.set(metric, left);
        else watched.delete(metric);
      };
    },
  };
}

/** Of new points those that an answer does not have. @param {Delta} delta @param {Series[]} answered @returns {Delta} */
function beyond(delta, answered) {
  const end = answered.find((one) => same(one, /** @type {Series} */ (delta)))?.step.at(-1) ?? -1;
  return chosen(delta, delta.step.map((_, i) => i).filter((i) => delta.step[i] > end));
}

/** Lay new points at the end of what is known. False when they change the past.
 * @param {Loaded} known @param {Delta} delta */
function extended(known, delta) {
  const { x, stretch, points } = known.wish;
  if (!delta.step.length || (x !== "step" && x !== "time")) return false;
  for (const name of /** @type {("whole" | "fine")[]} */ (["whole", "fine"])) {
    const all = known[name];
    if (!all) continue;
    const at = all.findIndex((one) => same(one, /** @type {Series} */ (delta)));
    const before = at < 0 ? null : all[at];
    const end = before?.step.at(-1) ?? -1;
    const ghost = all.some((one) => one.replaced && one.serial === delta.serial);
    if (ghost || delta.step[0] <= end || (x === "time" && delta.time[0] < (before?.time.at(-1) ?? 0))) return false;
    const part = name === "fine" && stretch ? clipped(delta, x, stretch) : delta;
    const grown = grow(before ?? { ...delta, step: [], time: [], value: [], total: 0, thinned: false }, part);
    const fit = grown.value.length > points * OVERGROWN ? thinner(grown, x, points) : grown;
    known[name] = at < 0 ? [...all, fit] : all.with(at, fit);
  }
  return true;
}

/** @param {Series} one @param {Delta} delta @returns {Series} */
function grow(one, delta) {
  return {
    ...one,
    total: one.total + delta.step.length,
    step: [...one.step, ...delta.step],
    time: [...one.time, ...delta.time],
    value: [...one.value, ...delta.value],
  };
}

/** @param {Delta} delta @param {string} x @param {{lo: number, hi: number}} stretch @returns {Delta} */
function clipped(delta, x, { lo, hi }) {
  const xs = x === "step" ? delta.step : delta.time;
  return chosen(delta, xs.map((_, i) => i).filter((i) => xs[i] >= Math.floor(lo) && xs[i] <= Math.ceil(hi)));
}

/** @param {Series} one @param {string} x @param {number} points @returns {Series} */
function thinner(one, x, points) {
  const places = kept(x === "step" ? one.step : one.time, one.value, points);
  return grained({ ...chosen(one, places), thinned: true }, x, points);
}

/** @template {Delta} T @param {T} one @param {number[]} places @returns {T} */
function chosen(one, places) {
  return { ...one, step: places.map((i) => one.step[i]), time: places.map((i) => one.time[i]), value: places.map((i) => one.value[i]) };
}

/** @param {string[]} metrics */
function batches(metrics) {
  const all = /** @type {string[][]} */ ([]);
  let length = Infinity;
  for (const metric of metrics) {
    const more = encodeURIComponent(metric).length + 8;
    const last = all.at(-1);
    if (!last || length + more > QUERY_LENGTH || last.length >= METRICS_A_REQUEST) {
      all.push([metric]);
      length = more;
    } else {
      last.push(metric);
      length += more;
    }
  }
  return all;
}

/** @param {Series[]} whole @param {Series[]} fine @param {Wish} wish */
function inside(whole, fine, wish) {
  const { x } = wish;
  if (x !== "step" && x !== "time") return fine;
  const { lo, hi } = /** @type {{lo: number, hi: number}} */ (wish.stretch);
  /** @param {Series} one @param {number} i */
  const at = (one, i) => (x === "step" ? one.step[i] : one.time[i]);
  return refined(whole, fine, (one, i) => at(one, i) < Math.floor(lo), (one, i) => at(one, i) > Math.ceil(hi));
}
