// Marks over a chart for what a line cannot say: values that are no numbers, spikes, stretches run again.
import * as say from "./say.js";

/** @typedef {import("./lines.js").Picture} Picture
 * @typedef {{left: number, top: number, first: number, last: number, count: number, line: number, kind: string, words: string}} Cluster */

const GAP = 5; // CSS pixels: nearer marks of one kind become one
const SPIKES_SHOWN = 60;
export const ODD_WORDS = { nan: "NaN", up: "+infinity", down: "-infinity" };

/** Lay the marks of what is shown over the plot. @param {any} u uPlot @param {Picture} picture */
export function placeMarks(u, picture) {
  let shelf = u.over.querySelector(".marks");
  if (!shelf) {
    shelf = document.createElement("div");
    shelf.className = "marks";
    u.over.append(shelf);
  }
  shelf.replaceChildren(
    ...picture.bands.map((band) => bandMark(u, band)).filter((mark) => mark !== null),
    ...clustered(u, oddities(u, picture)).map((cluster) => markOf(cluster, picture)),
    ...clustered(u, spikesOf(u, picture)).map((cluster) => markOf(cluster, picture)),
  );
}

/** No marks while the chart moves. @param {any} u */
export function clearMarks(u) {
  u.over.querySelector(".marks")?.replaceChildren();
}

/** @param {any} u @param {Picture} picture @returns {Cluster[]} */
function oddities(u, picture) {
  return picture.marks.map(({ x, kind, step, line }) => ({
    left: u.valToPos(x, "x"), top: NaN, first: step, last: step, count: 1, line, kind, words: ODD_WORDS[kind],
  }));
}

/** @param {any} u @param {Picture} picture @returns {Cluster[]} */
function spikesOf(u, picture) {
  const { min, max } = u.scales.x;
  const seen = picture.spikes.filter(({ x }) => x >= min && x <= max);
  const strongest = seen.sort((a, b) => Math.abs(b.y - b.usual) - Math.abs(a.y - a.usual)).slice(0, SPIKES_SHOWN);
  return strongest.map(({ x, y, usual, step, line }) => ({
    left: u.valToPos(x, "x"), top: u.valToPos(y, "y"), first: step, last: step, count: 1, line,
    kind: y > usual ? "spike" : "spike low", words: `Spike to ${say.number(y)} (around it ${say.number(usual)})`,
  }));
}

/** @param {any} u @param {Cluster[]} marks */
function clustered(u, marks) {
  const all = /** @type {Cluster[]} */ ([]);
  const latest = new Map();
  for (const mark of [...marks].sort((a, b) => a.left - b.left)) {
    if (!(mark.left >= -1 && mark.left <= u.over.clientWidth + 1)) continue;
    const kind = `${mark.kind} ${mark.line}`;
    const near = latest.get(kind);
    if (near && mark.left - near.left < GAP) {
      near.last = mark.last;
      near.count += 1;
      near.top = Math.min(near.top, mark.top);
    } else {
      latest.set(kind, mark);
      all.push(mark);
    }
  }
  return all;
}

/** @param {Cluster} cluster @param {Picture} picture */
function markOf({ left, top, first, last, count, line, kind, words }, picture) {
  const where = count === 1
    ? `at step ${say.count(first)}`
    : `at steps ${say.count(first)} to ${say.count(last)}, ${say.count(count)} points shown`;
  const several = picture.lines.filter(({ ghost }) => !ghost).length > 1;
  const mark = document.createElement("i");
  mark.className = `mark ${kind}`;
  mark.title = `${words} ${where}${several ? ` (${picture.lines[line].label})` : ""}`;
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", mark.title);
  mark.style.left = `${left}px`;
  if (!Number.isNaN(top)) mark.style.top = `${top}px`;
  if (several) mark.style.setProperty("--run", picture.lines[line].colour);
  return mark;
}

/** @param {any} u @param {import("./lines.js").Band} band */
function bandMark(u, { from, to, steps: [low, high], attempts }) {
  const where = low === high ? `step ${say.count(low)} was` : `steps ${say.count(low)} to ${say.count(high)} were`;
  const words = `Restarted: ${where} run again; the overwritten ${attempts === 1 ? "attempt is" : "attempts are"} drawn faintly`;
  const left = Math.max(0, u.valToPos(from, "x"));
  const right = Math.min(u.over.clientWidth, u.valToPos(to, "x"));
  if (right < 0 || left > u.over.clientWidth || right < left) return null;
  const mark = document.createElement("i");
  mark.className = "band";
  mark.title = words;
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", words);
  mark.style.left = `${left}px`;
  mark.style.width = `${Math.max(3, right - left)}px`;
  return mark;
}
