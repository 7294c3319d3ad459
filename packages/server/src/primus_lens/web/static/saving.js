// Takes a chart out of the page: its points as CSV, its picture as PNG.
import { drawChart } from "./chart.js";
import * as say from "./say.js";

/** @typedef {import("./lines.js").Series} Series
 * @typedef {import("./lines.js").Picture} Picture */

const PNG_WIDTH = 1200;
const PNG_HEIGHT = 560;
const MARGIN = 24;
const LEGEND_ROWS = 8;

/** Every point as a row, values with all their digits.
 * @param {Series[]} series @param {{x: string, names: (one: Series) => string}} how  x: as the API names it */
export function csvOf(series, { x, names }) {
  const metricX = x !== "step" && x !== "time" ? x : "";
  const head = ["metric", "run", "run_id", "data_source", "overwritten", "step", "time", ...(metricX ? [metricX] : []), "value"];
  const rows = series.flatMap((one) => {
    const facts = [one.metric, names(one), one.run_id, one.data_source].map(cell);
    return one.value.map((value, i) => [
      ...facts, one.replaced ? "yes" : "no", one.step[i], new Date(one.time[i]).toISOString(),
      ...(metricX ? [one.x?.[i] ?? ""] : []), say.exact(value),
    ].join(","));
  });
  return `${head.map(cell).join(",")}\n${rows.join("\n")}${rows.length ? "\n" : ""}`;
}

/** Quoted where needed. A name that a spreadsheet would run as a formula gets an apostrophe before it.
 * @param {string} text */
function cell(text) {
  const tame = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame;
}

/** The chart drawn anew at a size of its own, with title and legend.
 * @param {Picture} picture @param {Omit<import("./chart.js").How, "zoom">} how @param {{title: string, note: string}} words
 * @returns {Promise<Blob>} */
export async function pngOf(picture, how, { title, note }) {
  const host = document.createElement("div");
  host.className = "plot unseen";
  host.style.width = `${PNG_WIDTH}px`;
  host.style.height = `${PNG_HEIGHT}px`;
  document.body.append(host);
  const chart = drawChart(host, picture, { ...how, zoom: () => undefined });
  await new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
  const page = composed(host, chart.canvas(), picture, { title, note });
  chart.destroy();
  host.remove();
  return new Promise((resolve, refuse) => {
    page.toBlob((blob) => (blob ? resolve(blob) : refuse(new Error("the browser made no picture"))), "image/png");
  });
}

/** @param {HTMLElement} host @param {HTMLCanvasElement} drawn @param {Picture} picture @param {{title: string, note: string}} words */
function composed(host, drawn, { lines }, { title, note }) {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const variable = (name) => style.getPropertyValue(name).trim();
  const ratio = drawn.width / PNG_WIDTH;
  const legend = lines.length > 1 ? lines.slice(0, LEGEND_ROWS) : [];
  const page = document.createElement("canvas");
  const height = MARGIN * 2 + 34 + PNG_HEIGHT + legend.length * 20 + 20;
  [page.width, page.height] = [(PNG_WIDTH + MARGIN * 2) * ratio, height * ratio];
  const pen = /** @type {CanvasRenderingContext2D} */ (page.getContext("2d"));
  pen.scale(ratio, ratio);
  pen.fillStyle = variable("--card");
  pen.fillRect(0, 0, page.width, page.height);
  write(pen, title, MARGIN, MARGIN + 16, `600 18px ${variable("--face")}`, variable("--ink"));
  pen.drawImage(drawn, MARGIN, MARGIN + 34, PNG_WIDTH, PNG_HEIGHT);
  drawMarks(pen, host, variable);
  legend.forEach((line, i) => {
    const y = MARGIN + 34 + PNG_HEIGHT + 18 + i * 20;
    pen.fillStyle = line.colour.startsWith("var(") ? variable(line.colour.slice(4, -1)) : line.colour;
    pen.fillRect(MARGIN, y - 5, 16, 3);
    const more = i === LEGEND_ROWS - 1 && lines.length > LEGEND_ROWS ? ` and ${lines.length - LEGEND_ROWS} more` : "";
    write(pen, line.label + more, MARGIN + 24, y, `13px ${variable("--face")}`, variable("--ink"));
  });
  write(pen, note, MARGIN, height - MARGIN + 4, `12px ${variable("--face")}`, variable("--dim"));
  return page;
}

/** @param {CanvasRenderingContext2D} pen @param {string} text @param {number} x @param {number} y @param {string} font @param {string} colour */
function write(pen, text, x, y, font, colour) {
  pen.font = font;
  pen.fillStyle = colour;
  pen.fillText(text, x, y, PNG_WIDTH);
}

/** What lies over the canvas on the page. @param {CanvasRenderingContext2D} pen @param {HTMLElement} host
 * @param {(name: string) => string} variable */
function drawMarks(pen, host, variable) {
  const origin = host.getBoundingClientRect();
  for (const mark of host.querySelectorAll(".mark, .band")) {
    const { left, top, width, height } = mark.getBoundingClientRect();
    const [x, y] = [MARGIN + left - origin.left, MARGIN + 34 + top - origin.top];
    pen.globalAlpha = mark.matches(".band") ? 0.12 : 1;
    pen.fillStyle = variable(mark.matches(".band, .spike") ? "--warn" : "--bad");
    pen.beginPath();
    if (mark.matches(".band")) pen.rect(x, y, width, height);
    else if (mark.matches(".spike")) pen.arc(x + width / 2, y + height / 2, 3, 0, 7);
    else for (const [dx, dy] of [[width / 2, 0], [width, height], [0, height]]) pen.lineTo(x + dx, y + dy);
    pen.fill();
    pen.globalAlpha = 1;
  }
}

/** Hand a file to the reader. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 100);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
