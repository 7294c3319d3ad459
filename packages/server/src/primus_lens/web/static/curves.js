// Fetches the points of the metrics somebody is looking at, several to a request, and no others.
import { signal } from "./vendor/index.js";
import { ask } from "./api.js";
import { refined } from "./lines.js";

/** @typedef {import("./api.js").Series} Series
 * @typedef {{lo: number, hi: number}} Stretch  in the unit of the x axis
 * @typedef {{x: "step" | "time", stretch: Stretch | null, points: number, key: string}} Wanted
 *   stretch: in steps or Unix ms; points: about how many of each series; key: tells wishes apart
 * @typedef {{series: Series[], trouble: string}} Curve */

const METRICS_A_REQUEST = 6;
const QUERY_LENGTH = 4000; // servers and proxies cut request lines at 8 KiB
const GATHER_MS = 40; // scrolling reveals charts one by one; ask for them together

/** @param {string} uid @param {() => Wanted} wanted */
export function curvesOf(uid, wanted) {
  /** @type {Map<string, {value: Curve | null}>} */
  const curves = new Map();
  /** @type {Map<string, {key: string, body: any, x: string, whole: Series[] | null}>} */
  const loaded = new Map();
  const watched = new Set();
  let gathering = 0;

  /** @param {string} metric @returns {{value: Curve | null}} */
  function curve(metric) {
    const known = curves.get(metric) ?? signal(null);
    curves.set(metric, known);
    return known;
  }

  /** @param {string[]} metrics */
  async function load(metrics) {
    const wish = wanted();
    await Promise.all(batches(metrics).map((batch) => loadBatch(batch, wish)));
  }

  /** @param {string[]} batch @param {Wanted} wish */
  async function loadBatch(batch, wish) {
    const body = await ask(path(uid, batch, wish));
    if (wish.key !== wanted().key) return; // the reader has moved on
    for (const metric of batch) {
      const before = loaded.get(metric);
      if (before && before.body === body && before.key === wish.key) continue;
      const series = body.series.filter((/** @type {Series} */ one) => one.metric === metric);
      const known = before && before.x === wish.x ? before.whole : null;
      const whole = wish.stretch ? known : series;
      loaded.set(metric, { key: wish.key, body, x: wish.x, whole });
      curve(metric).value = { series: wish.stretch && whole ? inside(whole, series, wish) : series, trouble: "" };
    }
  }

  /** Load what is watched but not yet as wished. */
  function hurry() {
    clearTimeout(gathering);
    gathering = setTimeout(() => {
      const key = wanted().key;
      const missing = [...watched].filter((metric) => loaded.get(metric)?.key !== key);
      load(missing).catch((error) => {
        for (const metric of missing) {
          if (!curve(metric).value) curve(metric).value = { series: [], trouble: error.message };
        }
      });
    }, GATHER_MS);
  }

  return {
    curve,
    hurry,
    /** Refresh everything watched. */
    refresh: () => load([...watched].sort()),
    /** @param {string} metric */
    watch(metric) {
      watched.add(metric);
      hurry();
    },
    /** @param {string} metric */
    unwatch(metric) {
      watched.delete(metric);
    },
  };
}

/** @param {string} uid @param {string[]} batch @param {Wanted} wish */
function path(uid, batch, wish) {
  const query = new URLSearchParams({ format: "columns", x: wish.x, max_points: String(wish.points) });
  if (wish.stretch) {
    query.set("from_x", String(Math.floor(wish.stretch.lo)));
    query.set("to_x", String(Math.ceil(wish.stretch.hi)));
  }
  for (const metric of batch) query.append("metric", metric);
  return `/workloads/${encodeURIComponent(uid)}/metrics/data?${query}`;
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

/** @param {Series[]} whole @param {Series[]} fine @param {Wanted} wish */
function inside(whole, fine, wish) {
  const { lo, hi } = /** @type {Stretch} */ (wish.stretch);
  /** @param {Series} one @param {number} i */
  const at = (one, i) => (wish.x === "step" ? one.step[i] : one.time[i]);
  return refined(whole, fine, (one, i) => at(one, i) < Math.floor(lo), (one, i) => at(one, i) > Math.ceil(hi));
}
