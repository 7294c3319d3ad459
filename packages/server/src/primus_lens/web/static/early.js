// Asks for the workload and the points of its first charts while the rest of the page is still loading:
// a chart is there about one round trip sooner. Imports next to nothing for that reason.
import { arranged, nameFilter } from "./grouping.js";
import { curvesPath, detailPath, pinsOf, uidOf, wishOf } from "./wishes.js";

/** @typedef {{path: string, etag: string, body: any}} Answer  path: under /api/v1 */

const CHART_WIDTH = 394; // CSS pixels with the gap, as in workload.css
const CHART_HEIGHT = 270;
const ABOVE = 220; // what stands over the charts
const AT_MOST = 12;

const query = new URLSearchParams(location.search);
const uid = uidOf(location.pathname);

/** Each fulfils with null where there is no answer to use; whoever asks then asks again.
 * @type {{detail: Promise<Answer | null>, curves: Promise<{metrics: string[], answer: Answer} | null>}} */
export const early = begin();

function begin() {
  const detail = get(detailPath(uid));
  return { detail, curves: query.get("tab") ? Promise.resolve(null) : detail.then((known) => (known ? firstCharts(known.body) : null)) };
}

/** @param {any} known */
async function firstCharts(known) {
  const metrics = firstOf(known.metrics.map((/** @type {{name: string}} */ one) => one));
  if (!metrics.length) return null;
  const answer = await get(curvesPath(uid, metrics, wishOf(query, known.runs)));
  return answer && { metrics, answer };
}

/** The metrics whose charts the window shows first. @param {{name: string}[]} metrics */
function firstOf(metrics) {
  const { matches } = nameFilter(query.get("q") ?? "");
  const closed = query.getAll("closed");
  const columns = Math.max(1, Math.floor((innerWidth - 34) / CHART_WIDTH));
  const rows = Math.max(1, Math.ceil((innerHeight - ABOVE) / CHART_HEIGHT));
  const groups = arranged(metrics.filter((one) => matches(one.name)), pinsOf(query));
  const shown = groups.filter(({ key }) => !closed.includes(key)).flatMap((group) => group.metrics);
  const big = query.get("big");
  return [...new Set([...(big ? [big] : []), ...shown.map((one) => one.name)])].slice(0, Math.min(AT_MOST, columns * rows));
}

/** @param {string} path @returns {Promise<Answer | null>} */
async function get(path) {
  try {
    const response = await fetch(`/api/v1${path}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    return response.ok ? { path, etag: response.headers.get("ETag") ?? "", body: await response.json() } : null;
  } catch {
    return null; // said in words by whoever asks again
  }
}
