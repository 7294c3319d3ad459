// One chart: draws a picture with its axes, follows the shared cursor and zoom.
//
// uPlot lays out axes, cursor and selection; the lines are drawn by strokes.js, since each has its own
// places in x and none needs to be joined with the others.
import { uPlot } from "./vendor/uplot.js";
import { airy, xAxis, yAxis } from "./axes.js";
import { clearMarks, placeMarks } from "./marks.js";
import { hideTip, readings, showTip } from "./readout.js";
import { placeOf } from "./shapes.js";
import { extremes, strokeLines } from "./strokes.js";

/** @typedef {import("./lines.js").Picture} Picture
 * @typedef {{lo: number, hi: number}} Stretch  part of the x axis, in its unit
 * @typedef {{x: import("./lines.js").XMode, xName?: string, log: boolean, smoothing: () => number,
 *   stretch: () => Stretch | null, zoom: (stretch: Stretch | null) => void,
 *   read?: (found: import("./readout.js").Reading[] | null) => void}} How
 *   xName: of the metric that x is; smoothing: from 0, none, to below 1; stretch: what is shown, null for all;
 *   zoom: the reader chose a stretch, or by a double click all; read: told what the shared cursor reads, null when it left
 * @typedef {{update: (next: Picture) => void, redraw: () => void, step: (by: number) => void, widen: (by: number) => void,
 *   canvas: () => HTMLCanvasElement, destroy: () => void}} Chart
 *   redraw: zoom or smoothing changed; step: the cursor so many points on; widen: show so many times as much around the cursor */

const LINKED = "cursors of this page";
const STILL_MS = 120; // without a change for so long, all is drawn with care
const MANY_LINES = 4; // more than this are sketched in motion

/** Draw into an element that has a size; what the picture holds is described in lines.js.
 * @param {HTMLElement} host @param {Picture} picture @param {How} how @returns {Chart} */
export function drawChart(host, picture, how) {
  const shown = { picture, moving: false };
  let changed = -Infinity;
  let rest = 0;
  const plot = new uPlot(options(host, shown, how), ends(picture), host);
  // uPlot itself leaves the zoom of a double click to the page: the address decides.
  plot.over.addEventListener("dblclick", () => how.zoom(null));
  const size = new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = host;
    if (width && (width !== plot.width || height !== plot.height)) plot.setSize({ width, height });
  });
  size.observe(host);
  const settle = () => {
    shown.moving = false;
    plot.redraw(false, false);
  };
  return {
    update(next) {
      shown.picture = next;
      plot.setData(ends(next));
    },
    redraw() {
      const before = changed;
      changed = performance.now();
      shown.moving = changed - before < STILL_MS; // a single change is drawn with care at once
      clearTimeout(rest);
      if (shown.moving) rest = setTimeout(settle, STILL_MS);
      plot.setData(ends(shown.picture));
    },
    step: (by) => stepCursor(plot, shown.picture, by),
    widen(by) {
      const { min, max } = plot.scales.x;
      const { left } = plot.cursor;
      const at = left >= 0 ? plot.posToVal(left, "x") : (min + max) / 2;
      how.zoom({ lo: at - (at - min) * by, hi: at + (max - at) * by });
    },
    canvas: () => plot.ctx.canvas,
    destroy() {
      clearTimeout(rest);
      size.disconnect();
      plot.destroy();
    },
  };
}

/** All that uPlot needs to know of the points: where x begins and ends. @param {Picture} picture */
function ends({ lines }) {
  let [lo, hi] = [Infinity, -Infinity];
  for (const { xs } of lines) {
    if (!xs.length) continue;
    lo = Math.min(lo, xs[0]);
    hi = Math.max(hi, xs[xs.length - 1]);
  }
  if (lo > hi) [lo, hi] = [0, 1];
  return [lo === hi ? [lo - 1, hi + 1] : [lo, hi], [null, null]];
}

/** @param {HTMLElement} host @param {{picture: Picture, moving: boolean}} shown @param {How} how */
function options(host, shown, how) {
  const style = getComputedStyle(host);
  /** @param {string} name */
  const variable = (name) => style.getPropertyValue(name).trim();
  /** A canvas knows no variables. @param {string} colour */
  const paint = (colour) => (colour.startsWith("var(") ? variable(colour.slice(4, -1)) : colour);
  return {
    width: host.clientWidth,
    height: host.clientHeight,
    ms: 1,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: LINKED, scales: ["x", null], filters: { pub: onlyMoves } },
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: how.x === "time", range: (/** @type {any} */ u) => xRange(how.stretch(), u.data[0]) },
      y: { ...(how.log ? { distr: 3 } : {}), range: (/** @type {any} */ u) => airy(...extremes(shown.picture.lines, xNow(u, how)), how.log) },
    },
    series: [{}, { paths: () => null, points: { show: false } }],
    axes: [xAxis(how.x, variable), yAxis(how.log, variable)],
    hooks: {
      setSelect: [(/** @type {any} */ u) => zoomTo(u, how)],
      setCursor: [(/** @type {any} */ u) => readCursor(u, shown.picture, how)],
      draw: [(/** @type {any} */ u) => {
        const { x, y } = u.scales;
        const { lines } = shown.picture;
        const sketchy = shown.moving && lines.length > MANY_LINES;
        strokeLines(u.ctx, lines, { x, y, log: how.log, box: u.bbox, ratio: uPlot.pxRatio, smoothing: how.smoothing(), sketchy, paint });
        if (sketchy) clearMarks(u);
        else placeMarks(u, shown.picture);
      }],
    },
  };
}

/** Cursors are shared; presses and releases are not, or every chart would zoom at once.
 * @param {string} type */
function onlyMoves(type) {
  return type === "mousemove" || type === "mouseleave";
}

/** @param {any} u @param {How} how */
function zoomTo(u, how) {
  if (u.select.width < 3) return;
  const lo = u.posToVal(u.select.left, "x");
  const hi = u.posToVal(u.select.left + u.select.width, "x");
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  how.zoom({ lo, hi });
}

/** @param {Stretch | null} stretch @param {number[]} xs @returns {[number, number]} */
function xRange(stretch, xs) {
  return stretch ? [stretch.lo, stretch.hi] : [xs[0], xs[1]];
}

/** The range of x while that of y is sought: uPlot may not have set it yet. @param {any} u @param {How} how */
function xNow(u, how) {
  const [min, max] = xRange(how.stretch(), u.data[0]);
  return { min, max };
}

/** To the point of the longest line that lies so many on from the cursor.
 * @param {any} u @param {Picture} picture @param {number} by */
function stepCursor(u, { lines }, by) {
  const { min, max } = u.scales.x;
  const line = lines.reduce((best, one) => (one.xs.length > best.xs.length ? one : best), lines[0]);
  if (!line) return;
  const { left } = u.cursor;
  const at = left >= 0 ? placeOf(line.xs, u.posToVal(left, "x") - (max - min) * 1e-9) : by > 0 ? -1 : line.xs.length;
  const x = Math.min(max, Math.max(min, line.xs[Math.min(line.xs.length - 1, Math.max(0, at + by))]));
  u.setCursor({ left: u.valToPos(x, "x"), top: u.over.clientHeight / 2 });
}

/** @param {any} u @param {Picture} picture @param {How} how */
function readCursor(u, picture, how) {
  const { left } = u.cursor;
  if (left === undefined || left < 0 || !picture.lines.length) {
    hideTip(u);
    how.read?.(null);
    return;
  }
  const pixel = (u.scales.x.max - u.scales.x.min) / u.over.clientWidth;
  const found = readings(picture, u.posToVal(left, "x"), pixel);
  how.read?.(found);
  // Linked charts show their cursor; only the one under the pointer opens its list.
  if (u.over.matches(":hover") || u.root.parentElement?.matches(":focus")) showTip(u, found, { mode: how.x, name: how.xName ?? "" });
  else hideTip(u);
}
