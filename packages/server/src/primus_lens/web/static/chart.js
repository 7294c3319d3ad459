// One uPlot chart: draws a picture, follows the shared cursor and zoom, marks what has no height.
import { uPlot } from "./vendor/uplot.js";
import * as say from "./say.js";

/** @typedef {import("./lines.js").Picture} Picture
 * @typedef {import("./lines.js").Mark} Mark
 * @typedef {{x: import("./lines.js").XMode, log: boolean, colours: (serial: number) => string, dashed: (serial: number) => boolean,
 *   names: (serial: number) => string, stretch: () => {lo: number, hi: number} | null,
 *   zoom: (stretch: {lo: number, hi: number} | null) => void, read: (text: string | null) => void}} How
 *   read: told the value under the shared cursor */

const LINKED = "cursors of this page";
const MARK_GAP = 5; // CSS pixels: nearer marks of one kind become one
const READ_BEYOND = 8; // CSS pixels: how far past the end of a line the cursor still reads it
const CROWDED_DECADES = 4; // above this a log axis keeps whole decades only
const MARK_WORDS = { nan: "NaN", up: "+infinity", down: "-infinity" };

/** @param {HTMLElement} host @param {Picture} picture @param {How} how */
export function drawChart(host, picture, how) {
  let current = picture;
  const plot = new uPlot(options(host, () => current, how), picture.columns, host);
  // uPlot itself leaves the zoom of a double click to the page: the address decides.
  plot.over.addEventListener("dblclick", () => how.zoom(null));
  const size = new ResizeObserver(() => {
    if (host.clientWidth) plot.setSize({ width: host.clientWidth, height: host.clientHeight });
  });
  size.observe(host);
  return {
    /** Show newer points; the lines are the same. @param {Picture} next */
    update(next) {
      current = next;
      plot.setData(next.columns);
    },
    rescale() {
      plot.setData(current.columns);
    },
    destroy() {
      size.disconnect();
      plot.destroy();
    },
  };
}

/** @param {HTMLElement} host @param {() => Picture} picture @param {How} how */
function options(host, picture, how) {
  const style = getComputedStyle(host);
  /** @param {string} name */
  const paint = (name) => style.getPropertyValue(name).trim();
  return {
    width: host.clientWidth,
    height: host.clientHeight,
    ms: 1,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: LINKED, scales: ["x", null], filters: { pub: onlyMoves } },
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, width: 2 },
      dataIdx: (/** @type {any} */ u, /** @type {number} */ line, /** @type {number} */ at) => nearest(u, line, at),
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: how.x === "time", range: (/** @type {any} */ u) => xRange(how.stretch(), u.data[0]) },
      y: how.log ? { distr: 3, range: logRange } : { range: linearRange },
    },
    series: [{}, ...picture().lines.map((line, i) => ({
      stroke: how.colours(line.serial),
      width: 1.5,
      dash: how.dashed(line.serial) ? [7, 4] : undefined,
      spanGaps: false,
      points: { size: 5, fill: how.colours(line.serial), filter: (/** @type {any} */ _u, /** @type {number} */ _i, /** @type {boolean} */ show) => (show ? null : picture().lines[i].lone) },
    }))],
    axes: [xAxis(how.x, paint), yAxis(how.log, paint)],
    hooks: {
      setSelect: [(/** @type {any} */ u) => zoomTo(u, how)],
      setCursor: [(/** @type {any} */ u) => readCursor(u, picture(), how)],
      draw: [(/** @type {any} */ u) => placeMarks(u, picture(), how)],
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

/** The zoomed stretch, or from the first point to the last; a single point stands in the middle.
 * @param {{lo: number, hi: number} | null} stretch @param {number[]} xs */
function xRange(stretch, xs) {
  if (stretch) return [stretch.lo, stretch.hi];
  if (!xs.length) return [0, 1];
  const [lo, hi] = [xs[0], xs[xs.length - 1]];
  return lo === hi ? [lo - 1, hi + 1] : [lo, hi];
}

/** @param {any} _u @param {number | null} lo @param {number | null} hi */
function linearRange(_u, lo, hi) {
  if (lo === null || hi === null) return [0, 1];
  if (lo === hi) return [lo - (Math.abs(lo) * 0.1 || 1), hi + (Math.abs(hi) * 0.1 || 1)];
  const room = (hi - lo) * 0.06;
  // A curve that never goes below zero gets no room there: a loss of -0.1 would be a lie.
  return [lo >= 0 && lo - room < 0 ? 0 : lo - room, hi + room];
}

/** @param {any} _u @param {number | null} lo @param {number | null} hi */
function logRange(_u, lo, hi) {
  if (lo === null || hi === null || lo <= 0) return [0.1, 1];
  const room = Math.max(1.05, (hi / lo) ** 0.06);
  return [lo / room, hi * room];
}

/** @param {import("./lines.js").XMode} x @param {(name: string) => string} paint */
function xAxis(x, paint) {
  const words = { step: say.axisNumbers, time: say.axisTimes, elapsed: axisDurations };
  return {
    ...axisLook(paint),
    size: x === "time" ? 38 : 24,
    space: x === "time" ? 76 : 64,
    ...(x === "time" ? {} : { incrs: x === "step" ? STEP_GAPS : ELAPSED_GAPS }),
    values: (/** @type {any} */ _u, /** @type {number[]} */ ticks, /** @type {any} */ _axis, /** @type {any} */ _space, /** @type {number} */ gap) => words[x](ticks, gap),
  };
}

/** @param {number[]} ticks seconds */
function axisDurations(ticks) {
  return ticks.map((tick) => (tick === 0 ? "0" : say.duration(tick)));
}

const STEP_GAPS = [...Array(16)].flatMap((_, power) => [1, 2, 5].map((digit) => digit * 10 ** power));
const ELAPSED_GAPS = [
  0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800,
  21600, 43200, 86400, 172800, 432000, 864000, 1728000,
]; // seconds: gaps people count in

/** @param {boolean} log @param {(name: string) => string} paint */
function yAxis(log, paint) {
  return {
    ...axisLook(paint),
    size: (/** @type {any} */ _u, /** @type {string[] | null} */ words) => 16 + 7 * Math.max(4, ...(words ?? []).map((word) => (word ?? "").length)),
    space: 32,
    ...(log ? { splits: logTicks, filter: logLabels } : {}),
    values: (/** @type {any} */ _u, /** @type {(number | null)[]} */ ticks, /** @type {any} */ _axis, /** @type {any} */ _space, /** @type {number} */ gap) => (log
      ? ticks.map((tick) => (tick === null ? "" : say.number(tick)))
      : say.axisNumbers(/** @type {number[]} */ (ticks), gap)),
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

/** @param {(name: string) => string} paint */
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

/** The place nearest to the cursor where this line says something, be it NaN. Beyond its ends only a
 * little: a run that ended an hour before has no value here, so null.
 * @param {any} u @param {number} line @param {number} at */
function nearest(u, line, at) {
  const [xs, column] = [u.data[0], u.data[line]];
  if (line === 0 || column[at] !== undefined) return at;
  const left = column.findLastIndex((/** @type {any} */ y, /** @type {number} */ i) => i < at && y !== undefined);
  const right = column.findIndex((/** @type {any} */ y, /** @type {number} */ i) => i > at && y !== undefined);
  if (left >= 0 && right >= 0) return xs[at] - xs[left] <= xs[right] - xs[at] ? left : right;
  const end = Math.max(left, right);
  const pixel = (u.scales.x.max - u.scales.x.min) / u.over.clientWidth;
  return end >= 0 && Math.abs(xs[end] - xs[at]) <= READ_BEYOND * pixel ? end : null;
}

/** @param {any} u @param {Picture} picture @param {How} how */
function readCursor(u, picture, how) {
  const tip = tipOf(u);
  if (u.cursor.left === undefined || u.cursor.left < 0 || u.cursor.idx === null || !picture.lines.length) {
    tip.hidden = true;
    how.read(null);
    return;
  }
  const readings = picture.lines.map((line, i) => ({ line, text: reading(u, picture, i) })).filter(({ text }) => text);
  how.read(picture.lines.length === 1 ? readings[0]?.text ?? null : null);
  // Linked charts show their cursor; only the one under the pointer opens its list.
  tip.hidden = !u.over.matches(":hover");
  if (tip.hidden) return;
  tip.replaceChildren(tipHead(picture, u, how), ...readings.map(({ line, text }) => tipRow(line, text, how)));
  const right = u.cursor.left > u.over.clientWidth / 2;
  tip.style.left = right ? "" : `${u.cursor.left + 14}px`;
  tip.style.right = right ? `${u.over.clientWidth - u.cursor.left + 14}px` : "";
}

/** @param {any} u @param {Picture} picture @param {number} i */
function reading(u, picture, i) {
  const at = u.cursor.idxs[i + 1];
  if (at === null || at === undefined) return "";
  const x = u.data[0][at];
  const y = u.data[i + 1][at];
  if (typeof y === "number") return say.number(y);
  const mark = picture.marks.find((one) => one.line === i && one.step === picture.steps[i].get(x));
  return mark ? MARK_WORDS[mark.kind] : "not above 0";
}

/** @param {any} u */
function tipOf(u) {
  const known = u.over.querySelector(".tip");
  if (known) return known;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  u.over.append(tip);
  return tip;
}

/** @param {Picture} picture @param {any} u @param {How} how */
function tipHead(picture, u, how) {
  const x = u.data[0][u.cursor.idx];
  const head = document.createElement("b");
  const words = { step: () => `step ${say.count(x)}`, time: () => say.local(x), elapsed: () => say.duration(x) };
  const step = picture.lines.length === 1 && how.x !== "step" ? picture.steps[0].get(x) : undefined;
  head.textContent = words[how.x]() + (step === undefined ? "" : ` · step ${say.count(step)}`);
  return head;
}

/** @param {import("./lines.js").Line} line @param {string} text @param {How} how */
function tipRow(line, text, how) {
  const row = document.createElement("span");
  const dot = document.createElement("i");
  dot.style.background = how.colours(line.serial);
  const value = document.createElement("strong");
  value.textContent = text;
  row.append(dot, value, ` ${how.names(line.serial)}`);
  return row;
}

/** Small triangles on the axis where a value is not a number or infinite.
 * @param {any} u @param {Picture} picture @param {How} how */
function placeMarks(u, picture, how) {
  let shelf = u.over.querySelector(".marks");
  if (!shelf) {
    shelf = document.createElement("div");
    shelf.className = "marks";
    u.over.append(shelf);
  }
  shelf.replaceChildren(...clusters(u, picture.marks).map((cluster) => markOf(cluster, picture, how)));
}

/** @param {any} u @param {Mark[]} marks @returns {{left: number, marks: Mark[]}[]} */
function clusters(u, marks) {
  const { min, max } = u.scales.x;
  const all = /** @type {{left: number, marks: Mark[]}[]} */ ([]);
  const latest = new Map();
  for (const mark of [...marks].sort((a, b) => a.x - b.x)) {
    if (mark.x < min || mark.x > max) continue;
    const left = u.valToPos(mark.x, "x");
    const kind = `${mark.kind} ${mark.line}`;
    const near = latest.get(kind);
    if (near && left - near.left < MARK_GAP) {
      near.marks.push(mark);
    } else {
      const cluster = { left, marks: [mark] };
      latest.set(kind, cluster);
      all.push(cluster);
    }
  }
  return all;
}

/** @param {{left: number, marks: Mark[]}} cluster @param {Picture} picture @param {How} how */
function markOf({ left, marks }, picture, how) {
  const [first] = marks;
  const last = marks[marks.length - 1];
  const { serial } = picture.lines[first.line];
  const where = marks.length === 1
    ? `at step ${say.count(first.step)}`
    : `at steps ${say.count(first.step)} to ${say.count(last.step)}, ${say.count(marks.length)} points shown`;
  const mark = document.createElement("i");
  mark.className = `mark ${first.kind}`;
  mark.title = `${MARK_WORDS[first.kind]} ${where}${picture.lines.length > 1 ? ` (${how.names(serial)})` : ""}`;
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", mark.title);
  mark.style.left = `${left}px`;
  if (picture.lines.length > 1) mark.style.setProperty("--run", how.colours(serial));
  return mark;
}
