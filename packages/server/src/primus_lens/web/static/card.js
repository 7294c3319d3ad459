// One metric: its name, latest value, chart, and how much of it is shown. Draws only while seen.
import { html, useEffect, useMemo, useRef, useSignal } from "./vendor/index.js";
import { drawChart } from "./chart.js";
import { picture } from "./lines.js";
import { look } from "./look.js";
import * as say from "./say.js";

/** @typedef {import("./curves.js").Curve} Curve
 * @typedef {import("./lines.js").Picture} Picture
 * @typedef {{x: import("./lines.js").XMode, log: boolean, stretch: {lo: number, hi: number} | null,
 *   zoom: (stretch: {lo: number, hi: number} | null) => void, hidden: Set<number>,
 *   starts: Map<number, number>, names: (serial: number) => string, big: string,
 *   enlarge: (name: string) => void, curves: ReturnType<typeof import("./curves.js").curvesOf>}} View */

const RUN_COLOURS = 8;
const NEAR = "300px"; // charts this far outside the window are drawn ahead of the reader

/** @param {number} serial from 1 */
export function runColour(serial) {
  return `var(--run-${((serial - 1) % RUN_COLOURS) + 1})`;
}

/** Runs beyond the colours are dashed. @param {number} serial */
export function runDashed(serial) {
  return serial > RUN_COLOURS;
}

/** @param {{metric: import("./api.js").Metric, view: View}} props */
export function Card({ metric, view }) {
  const card = useRef(null);
  const seen = useSignal(false);
  const read = useRef(null);
  useEffect(() => whileSeen(card.current, (near) => {
    seen.value = near;
    if (near) view.curves.watch(metric.name);
    else view.curves.unwatch(metric.name);
  }), [metric.name, view.curves]);
  const curve = view.curves.curve(metric.name).value;
  const shown = usePicture(curve, view);
  const host = useChart({ shown, seen: seen.value, view, read });
  const slash = metric.name.indexOf("/");
  const big = view.big === metric.name;
  return html`<article ref=${card} class=${big ? "card big" : "card"} data-metric=${metric.name}>
    <header>
      <h3 title=${metric.name}>${slash > 0 && html`<span class="dim">${metric.name.slice(0, slash + 1)}</span>`}${metric.name.slice(slash > 0 ? slash + 1 : 0)}</h3>
      <span class="latest" ref=${read} title="latest value">${say.number(latest(shown)?.last)}</span>
      <button class="quiet" aria-label=${`${big ? "Shrink" : "Enlarge"} ${metric.name}`} title=${big ? "Shrink" : "Enlarge"}
        onClick=${() => view.enlarge(big ? "" : metric.name)}>${big ? "⤡" : "⤢"}</button>
    </header>
    <div class="plot" ref=${host} role="img" aria-label=${inWords(metric.name, shown)}></div>
    ${!shown && !curve?.trouble && html`<i class="waiting" aria-hidden="true"></i>`}
    ${curve?.trouble && html`<p class="none" role="alert">${curve.trouble}</p>`}
    ${shown && shown.lines.length === 0 && !curve?.trouble && html`<p class="none">No points to show</p>`}
    <footer>${footnotes(shown, view)}</footer>
  </article>`;
}

/** @param {Curve | null} curve @param {View} view @returns {Picture | null} */
function usePicture(curve, view) {
  const { x, log, starts, hidden } = view;
  const how = `${x} ${log} ${[...hidden]} ${x === "elapsed" ? [...starts] : ""}`;
  return useMemo(() => {
    if (!curve) return null;
    return picture(curve.series.filter(({ serial }) => !hidden.has(serial)), { x, log, starts });
  }, [curve, how]);
}

/** Draw into the returned place while the card is seen.
 * @param {{shown: Picture | null, seen: boolean, view: View, read: any}} what */
function useChart({ shown, seen, view, read }) {
  const host = useRef(null);
  const latestView = useRef(view);
  const drawn = useRef(/** @type {ReturnType<typeof drawChart> | null} */ (null));
  latestView.current = view;
  const lines = shown?.lines.map(({ serial, source }) => `${serial} ${source}`).join() ?? "";
  const kind = `${view.x} ${view.log} ${look.value} ${lines}`;
  useEffect(() => {
    if (!shown || !seen || !shown.lines.length) return undefined;
    drawn.current = drawChart(host.current, shown, {
      x: view.x,
      log: view.log,
      colours: painted,
      dashed: runDashed,
      names: (serial) => latestView.current.names(serial),
      stretch: () => latestView.current.stretch,
      zoom: (stretch) => latestView.current.zoom(stretch),
      read: (text) => tell(read.current, text),
    });
    return () => {
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, [kind, seen, shown !== null]);
  useEffect(() => {
    if (shown) drawn.current?.update(shown);
  }, [shown, view.stretch?.lo, view.stretch?.hi]);
  return host;
}

/** A canvas knows no variables. @param {number} serial */
function painted(serial) {
  const name = runColour(serial).slice(4, -1);
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The value under the cursor in place of the latest one, by attribute: the text itself is Preact's.
 * @param {HTMLElement | null} output @param {string | null} text */
function tell(output, text) {
  if (!output) return;
  if (text === null) delete output.dataset.read;
  else output.dataset.read = text;
}

/** @param {Element} element @param {(near: boolean) => void} tellNear */
function whileSeen(element, tellNear) {
  const watch = new IntersectionObserver(
    (entries) => tellNear(entries[entries.length - 1].isIntersecting),
    { rootMargin: NEAR },
  );
  watch.observe(element);
  return () => {
    watch.disconnect();
    tellNear(false);
  };
}

/** The line of the newest run. @param {Picture | null} shown */
function latest(shown) {
  return shown?.lines.reduce((best, line) => (line.serial >= best.serial ? line : best), shown.lines[0]);
}

/** @param {Picture | null} shown @param {View} view */
function footnotes(shown, view) {
  if (!shown || !shown.lines.length) return "";
  const total = shown.lines.reduce((sum, line) => sum + line.total, 0);
  const drawn = shown.lines.reduce((sum, line) => sum + line.shown, 0);
  const notes = [drawn < total
    ? `${say.count(drawn)} points shown of ${say.count(total)}`
    : `${say.count(total)} point${total === 1 ? "" : "s"}`];
  for (const [kind, word] of [["nan", "NaN"], ["up", "+∞"], ["down", "−∞"]]) {
    const n = shown.marks.filter((mark) => mark.kind === kind).length;
    // Thinning keeps the first of each stretch, so there may be more of them than are shown.
    if (n) notes.push(`${drawn < total ? "≥ " : ""}${say.count(n)} ${word}`);
  }
  if (shown.unloggable) notes.push(`${say.count(shown.unloggable)} not above 0, off the log axis`);
  if (view.stretch) notes.push("zoomed");
  return notes.join(" · ");
}

/** What the chart shows, for those who listen. @param {string} name @param {Picture | null} shown */
function inWords(name, shown) {
  if (!shown) return `${name}: loading`;
  if (!shown.lines.length) return `${name}: no points`;
  const values = shown.columns.slice(1).flat().filter((/** @type {any} */ y) => typeof y === "number");
  const lowest = values.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.min(a, b), Infinity);
  const highest = values.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.max(a, b), -Infinity);
  return `Chart of ${name}: ${shown.lines.length} run${shown.lines.length === 1 ? "" : "s"}, `
    + `latest ${say.number(latest(shown)?.last)}, lowest ${say.number(lowest)}, highest ${say.number(highest)}, `
    + `${shown.marks.length} not finite`;
}
