// Draws lines on a canvas: each as it is while its points fit, else as an envelope, which is for every
// column of pixels the range of all points that fall there and the line through their last ones. In motion
// many lines are sketched: one hair each through all that a column holds, which costs a fifth.
import { placeOf, smoothed } from "./shapes.js";

/** @typedef {import("./lines.js").Line} Line
 * @typedef {{left: number, top: number, width: number, height: number}} Box  in canvas pixels
 * @typedef {{min: number, max: number}} Range
 * @typedef {{x: Range, y: Range, log: boolean, box: Box, ratio: number, smoothing: number, sketchy: boolean, paint: (colour: string) => string}} Frame
 * @typedef {{x: number, lo: number, hi: number, last: number, broken: boolean}} Column  broken: a hole lies before it
 *   ratio: canvas pixels a CSS pixel; smoothing: weight from 0, none, to below 1; sketchy: in motion */

const POINTS_A_COLUMN = 1.5; // more than this and columns of pixels are drawn instead of points
const GRAIN_SEEN = 6; // CSS pixels: wider buckets of a thinned line are drawn point by point until finer ones come
const DOTS_EVERY = 14; // CSS pixels: where points are rarer each is seen by itself
const GHOST = 0.6;
const BAND = 0.38;
const RAW = 0.45; // of a curve that is smoothed
const SKETCH_WIDE = 2; // CSS pixels of a column in motion
const HAIR = 1; // canvas pixel: wider strokes are filled outlines, ten times as dear without a GPU

/** The first and last place of a line to draw so that it reaches both edges.
 * @param {ArrayLike<number>} xs @param {Range} range @returns {[number, number]} */
export function within(xs, range) {
  return [Math.max(0, placeOf(xs, range.min) - 1), Math.min(xs.length, placeOf(xs, range.max + Number.EPSILON * Math.abs(range.max)) + 1)];
}

/** @param {CanvasRenderingContext2D} pen @param {Line[]} lines @param {Frame} frame */
export function strokeLines(pen, lines, frame) {
  const { box } = frame;
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top - 2, box.width + 2, box.height + 4);
  pen.clip();
  pen.lineJoin = "round";
  for (const line of lines) strokeLine(pen, line, frame);
  pen.restore();
}

/** @param {CanvasRenderingContext2D} pen @param {Line} line @param {Frame} frame */
function strokeLine(pen, line, frame) {
  const [from, to] = within(line.xs, frame.x);
  if (from >= to) return;
  const colour = frame.paint(line.colour);
  pen.strokeStyle = colour;
  pen.fillStyle = colour;
  const faint = line.ghost ? GHOST : 1;
  const raw = frame.smoothing > 0 && !line.ghost ? RAW : 1; // the raw curve stays to be seen
  if (line.lo && line.hi) fillBetween(pen, line, [from, to], frame);
  if (!frame.sketchy) pen.setLineDash((line.ghost ? [3, 3] : line.dashed ? [7, 4] : []).map((n) => n * frame.ratio));
  pen.globalAlpha = faint * raw;
  pen.lineWidth = frame.sketchy ? HAIR : (line.ghost ? 1 : 1.5) * frame.ratio;
  const width = columnWidth(line, to - from, frame);
  const columns = width > 0 ? columnsOf(line, [from, to], { width, origin: line.grain?.origin ?? frame.x.min }) : null;
  if (columns && frame.sketchy) {
    sketch(pen, columns, frame);
  } else if (columns) {
    envelope(pen, columns, { frame, width, alpha: faint * raw });
  } else {
    through(pen, line.xs, line.ys, [from, to], frame);
    dots(pen, line, [from, to], frame);
  }
  if (raw < 1) {
    const [xs, ys] = columns ? [columns.map(({ x }) => x), columns.map(({ last }) => last)] : [line.xs, line.ys];
    pen.globalAlpha = 1;
    pen.lineWidth = frame.sketchy ? HAIR : 2 * frame.ratio;
    through(pen, xs, smoothed(xs, ys, frame.smoothing, frame.x.max - frame.x.min), columns ? [0, xs.length] : [from, to], frame);
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
}

/** How wide the columns of an envelope are, in x; 0 where the points are drawn themselves. Columns are whole
 * buckets of a thinned line: the last point of a part of one may be its highest.
 * @param {Line} line @param {number} points in sight @param {Frame} frame */
function columnWidth({ grain }, points, { x, box, ratio, sketchy }) {
  const pixel = ((x.max - x.min) / (box.width / ratio)) * (sketchy ? SKETCH_WIDE : 1);
  if (grain && grain.width < pixel * GRAIN_SEEN) return grain.width * Math.max(1, Math.round(pixel / grain.width));
  return points > ((x.max - x.min) / pixel) * POINTS_A_COLUMN ? pixel : 0;
}

/** @param {Frame} frame */
function scales({ x, y, log, box }) {
  const across = box.width / (x.max - x.min);
  const bottom = box.top + box.height;
  const [low, high] = log ? [Math.log10(y.min), Math.log10(y.max)] : [y.min, y.max];
  const up = box.height / (high - low);
  return {
    /** @param {number} at */
    px: (at) => box.left + (at - x.min) * across,
    /** @param {number} at */
    py: (at) => bottom - ((log ? Math.log10(at) : at) - low) * up,
  };
}

/** A line through points; a hole breaks it.
 * @param {CanvasRenderingContext2D} pen @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys
 * @param {[number, number]} part @param {Frame} frame */
function through(pen, xs, ys, [from, to], frame) {
  const { px, py } = scales(frame);
  let open = false;
  pen.beginPath();
  for (let i = from; i < to; i += 1) {
    const y = ys[i];
    if (Number.isNaN(y)) {
      open = false;
    } else if (open) {
      pen.lineTo(px(xs[i]), py(y));
    } else {
      pen.moveTo(px(xs[i]), py(y));
      open = true;
    }
  }
  pen.stroke();
}

/** Dots where points are rare, and where one has no neighbour to be joined with.
 * @param {CanvasRenderingContext2D} pen @param {Line} line @param {[number, number]} part @param {Frame} frame */
function dots(pen, { xs, ys }, [from, to], frame) {
  const { px, py } = scales(frame);
  const rare = (to - from) * DOTS_EVERY * frame.ratio < frame.box.width;
  const size = 2.5 * frame.ratio;
  pen.beginPath();
  for (let i = from; i < to; i += 1) {
    if (Number.isNaN(ys[i])) continue;
    const alone = (i === 0 || Number.isNaN(ys[i - 1])) && (i === ys.length - 1 || Number.isNaN(ys[i + 1]));
    if (!rare && !alone) continue;
    pen.moveTo(px(xs[i]) + size, py(ys[i]));
    pen.arc(px(xs[i]), py(ys[i]), size, 0, 7);
  }
  pen.fill();
}

/** @param {CanvasRenderingContext2D} pen @param {Column[]} columns @param {{frame: Frame, width: number, alpha: number}} how */
function envelope(pen, columns, { frame, width, alpha }) {
  const { px, py } = scales(frame);
  const wide = Math.max(frame.ratio, px(width) - px(0));
  const least = frame.ratio;
  pen.globalAlpha = alpha * BAND;
  for (const { x, lo, hi } of columns) {
    const top = py(hi);
    pen.fillRect(px(x) - wide / 2, top - least / 2, wide, Math.max(least, py(lo) - top + least));
  }
  pen.globalAlpha = alpha;
  pen.beginPath();
  let open = false;
  for (const { x, last, broken } of columns) {
    if (open && !broken) pen.lineTo(px(x), py(last));
    else pen.moveTo(px(x), py(last));
    open = true;
  }
  pen.stroke();
}

/** All of every column in one stroke. @param {CanvasRenderingContext2D} pen @param {Column[]} columns @param {Frame} frame */
function sketch(pen, columns, frame) {
  const { px, py } = scales(frame);
  pen.beginPath();
  for (const { x, lo, hi, last, broken } of columns) {
    if (broken) pen.moveTo(px(x), py(lo));
    else pen.lineTo(px(x), py(lo));
    pen.lineTo(px(x), py(hi));
    pen.lineTo(px(x), py(last));
  }
  pen.stroke();
}

/** What falls into each column of x.
 * @param {Line} line @param {[number, number]} part @param {{width: number, origin: number}} grid @returns {Column[]} */
function columnsOf({ xs, ys }, [from, to], { width, origin }) {
  const columns = /** @type {Column[]} */ ([]);
  let column = NaN;
  let hole = false;
  for (let i = from; i < to; i += 1) {
    const y = ys[i];
    if (Number.isNaN(y)) {
      hole = true;
      continue;
    }
    const place = Math.floor((xs[i] - origin) / width);
    if (place === column) {
      const known = columns[columns.length - 1];
      if (y < known.lo) known.lo = y;
      if (y > known.hi) known.hi = y;
      known.last = y;
    } else {
      columns.push({ x: origin + (place + 0.5) * width, lo: y, hi: y, last: y, broken: hole });
      column = place;
    }
    hole = false;
  }
  return columns;
}

/** A range given with the line: of a group of runs, say.
 * @param {CanvasRenderingContext2D} pen @param {Line} line @param {[number, number]} part @param {Frame} frame */
function fillBetween(pen, { xs, lo, hi }, [from, to], frame) {
  if (!lo || !hi) return;
  const { px, py } = scales(frame);
  pen.globalAlpha = 0.18;
  pen.beginPath();
  for (let i = from; i < to; i += 1) if (!Number.isNaN(hi[i])) pen.lineTo(px(xs[i]), py(hi[i]));
  for (let i = to - 1; i >= from; i -= 1) if (!Number.isNaN(lo[i])) pen.lineTo(px(xs[i]), py(lo[i]));
  pen.fill();
}

/** The lowest and highest y of what is seen. @param {Line[]} lines @param {Range} range @returns {[number, number]} */
export function extremes(lines, range) {
  let [lo, hi] = [Infinity, -Infinity];
  for (const line of lines) {
    let [from, to] = [placeOf(line.xs, range.min), placeOf(line.xs, range.max + Number.EPSILON * Math.abs(range.max))];
    if (from === to) [from, to] = within(line.xs, range); // between two points: the line crosses
    for (const [low, high] of [[line.ys, line.ys], [line.lo, line.hi]]) {
      for (let i = from; low && high && i < to; i += 1) {
        if (low[i] < lo) lo = low[i];
        if (high[i] > hi) hi = high[i];
      }
    }
  }
  return [lo, hi];
}
