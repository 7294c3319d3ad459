// Draws times of ranks over steps as a field of colours: as usual, slower, faster than the ranks' median.

/** @typedef {import("./rank_times.js").Verdict} Verdict
 * @typedef {{left: number, top: number, width: number, row: number, columns: number, ranks: number}} Layout  CSS pixels */

const LABELS = 132; // CSS pixels for the names of ranks, at most
const LETTER = 8; // of the widest, a slow rank’s
const AXIS = 22;
const FULL = 0.5; // a share of the usual time above or below it that takes the full colour
const TALLEST = 26;
const LOWEST = 3;
const HEIGHT = 560;

/** @param {number} width @param {Verdict} verdict @returns {Layout} */
export function layoutOf(width, verdict) {
  const ranks = verdict.ranks.length;
  const row = Math.max(LOWEST, Math.min(TALLEST, Math.floor(HEIGHT / Math.max(1, ranks))));
  const longest = Math.max(...verdict.ranks.map(({ rank }) => rank.label.length), 0);
  const left = Math.min(width < 600 ? LABELS - 48 : LABELS, longest * LETTER + 16);
  return { left, top: 0, width: width - left - 8, row, columns: verdict.columns, ranks };
}

/** @param {Layout} layout */
export function heightOf({ row, ranks }) {
  return row * ranks + AXIS;
}

/** The cell at a place of the canvas. @param {Layout} layout @param {number} x @param {number} y */
export function cellAt(layout, x, y) {
  const column = Math.floor(((x - layout.left) / layout.width) * layout.columns);
  const rank = Math.floor(y / layout.row);
  const inside = column >= 0 && column < layout.columns && rank >= 0 && rank < layout.ranks;
  return inside ? { column, rank } : null;
}

/** @param {HTMLCanvasElement} canvas @param {Verdict} verdict @param {Layout} layout
 * @param {{words: (step: number) => string, chosen: {column: number, rank: number} | null}} how */
export function drawHeat(canvas, verdict, layout, how) {
  const ratio = devicePixelRatio || 1;
  const height = heightOf(layout);
  canvas.width = (layout.left + layout.width + 8) * ratio;
  canvas.height = height * ratio;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle(canvas);
  /** @param {string} name */
  const variable = (name) => style.getPropertyValue(name).trim();
  pen.scale(ratio, ratio);
  const palette = { even: rgb(variable("--heat-even")), slow: rgb(variable("--heat-slow")), fast: rgb(variable("--heat-fast")) };
  const cell = layout.width / layout.columns;
  const gap = layout.row > 8 ? 1 : 0;
  verdict.ranks.forEach(({ cells }, rank) => {
    for (let column = 0; column < layout.columns; column += 1) {
      const share = cells[column] / verdict.usual[column] - 1;
      if (Number.isNaN(share)) continue;
      pen.fillStyle = colourOf(share, palette);
      const x = Math.round((layout.left + column * cell) * ratio) / ratio;
      const right = Math.round((layout.left + (column + 1) * cell) * ratio) / ratio;
      pen.fillRect(x, rank * layout.row, right - x, layout.row - gap);
    }
  });
  labels(pen, verdict, layout, variable);
  axis(pen, verdict, layout, { words: how.words, ink: variable("--dim"), face: variable("--face") });
  if (how.chosen) {
    pen.strokeStyle = variable("--ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(layout.left + how.chosen.column * cell, how.chosen.rank * layout.row, Math.max(3, cell), layout.row - gap);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {Verdict} verdict @param {Layout} layout @param {(name: string) => string} variable */
function labels(pen, verdict, layout, variable) {
  const every = Math.max(1, Math.ceil(13 / layout.row));
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  verdict.ranks.forEach(({ rank, slow }, i) => {
    if (i % every && !slow) return;
    pen.font = `${slow ? 600 : 400} 12px ${variable("--face")}`;
    pen.fillStyle = variable(slow ? "--bad" : "--dim");
    pen.fillText(clipped(pen, rank.label, layout.left - 14), layout.left - 8, (i + 0.5) * layout.row);
  });
}

/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} width */
function clipped(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}

/** @param {CanvasRenderingContext2D} pen @param {Verdict} verdict @param {Layout} layout
 * @param {{words: (step: number) => string, ink: string, face: string}} how */
function axis(pen, { from, to }, layout, { words, ink, face }) {
  pen.font = `11px ${face}`;
  pen.fillStyle = ink;
  const y = layout.row * layout.ranks + AXIS / 2 + 2;
  const gap = roundAbove((to - from + 1) / (layout.width < 500 ? 3 : 8));
  for (let step = Math.ceil(from / gap) * gap; step <= to; step += gap) {
    const x = layout.left + ((step - from + 0.5) / (to - from + 1)) * layout.width;
    pen.textAlign = x < layout.left + 12 ? "left" : x > layout.left + layout.width - 24 ? "right" : "center";
    pen.fillText(words(step), x, y);
  }
}

/** The next of 1, 2, 5, 10, 20 and so on. @param {number} gap */
function roundAbove(gap) {
  const decade = 10 ** Math.floor(Math.log10(Math.max(1, gap)));
  return [1, 2, 5, 10].map((digit) => digit * decade).find((round) => round >= gap) ?? 1;
}

/** @param {number} share above, or below zero, of the usual time @param {{even: number[], slow: number[], fast: number[]}} palette */
function colourOf(share, { even, slow, fast }) {
  const part = Math.min(1, Math.abs(share) / FULL);
  const towards = share > 0 ? slow : fast;
  return `rgb(${even.map((from, i) => Math.round(from + (towards[i] - from) * part)).join(" ")})`;
}

/** @param {string} hex #rrggbb */
function rgb(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}
