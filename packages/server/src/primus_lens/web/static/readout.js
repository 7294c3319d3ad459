// What the cursor reads: the nearest value of each line, as a list beside the cursor.
import { placeOf } from "./shapes.js";
import { ODD_WORDS } from "./marks.js";
import * as say from "./say.js";

/** @typedef {import("./lines.js").Picture} Picture
 * @typedef {import("./lines.js").Line} Line
 * @typedef {{line: Line, at: number, x: number, y: number, text: string}} Reading  y: NaN when it has no height */

const BEYOND = 8; // CSS pixels: how far past the end of a line the cursor still reads it
const TIP = { aside: 14, least: 150, most: 300 }; // CSS pixels from the cursor, and of its width
const ROWS = 12; // more do not fit beside a cursor

/** The nearest value of each line, none where it has ended.
 * @param {Picture} picture @param {number} x @param {number} pixel width of one in x @returns {Reading[]} */
export function readings(picture, x, pixel) {
  return picture.lines.flatMap((line, i) => {
    const at = nearest(line.xs, x, BEYOND * pixel);
    if (at === null) return [];
    const y = line.ys[at];
    const text = Number.isNaN(y) ? oddWord(picture, i, line.steps[at]) : say.number(y);
    return [{ line, at, x: line.xs[at], y, text }];
  });
}

/** @param {Picture} picture @param {number} line @param {number} step */
function oddWord(picture, line, step) {
  const mark = picture.marks.find((one) => one.line === line && one.step === step);
  return mark ? ODD_WORDS[mark.kind] : "not above 0";
}

/** @param {number[]} xs ascending @param {number} x @param {number} beyond */
function nearest(xs, x, beyond) {
  if (!xs.length) return null;
  const right = placeOf(xs, x);
  if (right === 0) return xs[0] - x <= beyond ? 0 : null;
  if (right === xs.length) return x - xs[right - 1] <= beyond ? right - 1 : null;
  return x - xs[right - 1] <= xs[right] - x ? right - 1 : right;
}

/** What x is called under the cursor. @param {number} x @param {import("./lines.js").XMode} mode @param {string} name */
export function placeWords(x, mode, name) {
  if (mode === "step") return `step ${say.count(Math.round(x))}`;
  if (mode === "time") return say.local(x);
  return mode === "elapsed" ? say.duration(x) : `${name} ${say.number(x)}`;
}

/** Fill and place the list. @param {any} u uPlot @param {Reading[]} found @param {{mode: import("./lines.js").XMode, name: string}} x */
export function showTip(u, found, x) {
  const tip = tipOf(u);
  tip.hidden = !found.length;
  if (tip.hidden) return;
  const height = u.posToVal(u.cursor.top, "y");
  const near = [...found].sort((a, b) => Math.abs(a.y - height) - Math.abs(b.y - height)).slice(0, ROWS);
  const shown = found.filter((one) => near.includes(one)).sort((a, b) => b.y - a.y);
  const [nearest] = near;
  tip.replaceChildren(head(nearest, x), ...shown.map((one) => row(one, found.length > 1 && one === nearest)));
  if (found.length > shown.length) tip.append(note(`and ${say.count(found.length - shown.length)} more`));
  const right = u.cursor.left > u.over.clientWidth / 2;
  const room = (right ? u.cursor.left : u.over.clientWidth - u.cursor.left) - TIP.aside;
  tip.style.maxWidth = `${Math.min(TIP.most, Math.max(TIP.least, room))}px`;
  tip.style.left = right ? "" : `${u.cursor.left + TIP.aside}px`;
  tip.style.right = right ? `${u.over.clientWidth - u.cursor.left + TIP.aside}px` : "";
}

/** @param {any} u */
export function hideTip(u) {
  tipOf(u).hidden = true;
}

/** @param {any} u @returns {HTMLElement} */
function tipOf(u) {
  const known = u.over.querySelector(".tip");
  if (known) return known;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  u.over.append(tip);
  return tip;
}

/** @param {Reading} nearest @param {{mode: import("./lines.js").XMode, name: string}} x */
function head(nearest, x) {
  const step = nearest.line.steps[nearest.at];
  const words = placeWords(nearest.x, x.mode, x.name);
  return note(x.mode === "step" ? words : `${words} · step ${say.count(step)}`);
}

/** @param {string} text */
function note(text) {
  const line = document.createElement("b");
  line.textContent = text;
  return line;
}

/** @param {Reading} reading @param {boolean} strong */
function row({ line, text }, strong) {
  const row = document.createElement("span");
  if (strong) row.className = "near";
  const dot = document.createElement("i");
  dot.style.background = line.colour;
  const value = document.createElement("strong");
  value.textContent = text;
  row.append(dot, value, ` ${line.label}`);
  return row;
}
