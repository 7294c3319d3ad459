// One metric of all that is compared: a line a run, or a mean and a range a group of runs.
import { html, useEffect, useMemo, useRef, useSignal } from "./vendor/index.js";
import { runColour, runDashed, Spoken, steer } from "./card.js";
import { drawChart } from "./chart.js";
import { curveOf, watch } from "./compared.js";
import { picture } from "./lines.js";
import { look } from "./look.js";
import { meanOf } from "./means.js";
import { pngOf, save } from "./saving.js";
import * as say from "./say.js";

/** @typedef {import("./lines.js").Picture} Picture
 * @typedef {import("./compared.js").Side} Side
 * @typedef {{key: string, label: string, place: number, sides: Side[]}} Group
 * @typedef {{sides: Side[], groups: Group[] | null, x: import("./lines.js").XMode, log: boolean, smoothing: number,
 *   starts: Map<number, number>, stretch: {lo: number, hi: number} | null, zoom: (stretch: {lo: number, hi: number} | null) => void,
 *   big: string, enlarge: (name: string) => void}} View  sides: those shown; groups: null for a line a run */

const NEAR = "300px"; // charts this far outside the window are drawn ahead of the reader

/** @param {{name: string, view: View}} props */
export function CompareCard({ name, view }) {
  const card = useRef(null);
  const seen = useSignal(false);
  useEffect(() => {
    let away = () => {};
    const watcher = new IntersectionObserver((entries) => {
      seen.value = entries[entries.length - 1].isIntersecting;
      away();
      away = seen.value ? watch(name) : () => {};
    }, { rootMargin: NEAR });
    watcher.observe(card.current);
    return () => {
      watcher.disconnect();
      away();
    };
  }, [name]);
  const big = view.big === name;
  return html`<article ref=${card} class=${big ? "card big" : "card"} data-metric=${name} aria-label=${name}>
    ${seen.value ? html`<${Body} name=${name} view=${view} big=${big} />` : html`<header><h3>${name}</h3></header>`}</article>`;
}

/** @param {{name: string, view: View, big: boolean}} props */
function Body({ name, view, big }) {
  const curve = curveOf(name).value;
  const shown = usePicture(curve?.series ?? null, view);
  const read = useSignal(/** @type {import("./readout.js").Reading[] | null} */ (null));
  const chart = useChart({ shown, view, read: (found) => { read.value = found; } });
  const slash = name.indexOf("/");
  const missing = shown ? (view.groups ?? view.sides).length - new Set(shown.lines.map(({ label }) => label)).size : 0;
  return html`
    <header><h3 title=${name}>${slash > 0 && html`<span class="dim">${name.slice(0, slash + 1)}</span>`}${name.slice(slash > 0 ? slash + 1 : 0)}</h3>
      <span class="actions">
        <button class="quiet word" disabled=${!shown?.lines.length} aria-label=${`Save ${name} as PNG`} title="Save the picture as PNG"
          onClick=${() => savePng(name, shown, view)}>PNG</button>
        <button class="quiet" aria-label=${`${big ? "Shrink" : "Enlarge"} ${name}`} title=${big ? "Shrink" : "Enlarge"}
          onClick=${() => view.enlarge(big ? "" : name)}>${big ? "⤡" : "⤢"}</button></span></header>
    <div class="plot" ref=${chart.host} role="img" tabindex="0" aria-label=${inWords(name, shown)}
      aria-description="Arrow keys read point by point, plus and minus zoom" onKeyDown=${chart.keys}></div>
    ${!shown && html`<i class="waiting" aria-hidden="true"></i>`}
    ${curve?.trouble && html`<p class="none" role="alert">${curve.trouble}</p>`}
    ${shown && !shown.lines.length && !curve?.trouble && html`<p class="none">None of what is shown has logged it</p>`}
    <footer>${footnotes(shown, missing, view)}</footer>
    <${Spoken} read=${read} view=${{ x: view.x, xName: "" }} />`;
}

/** @param {string} name @param {Picture | null} shown @param {View} view */
async function savePng(name, shown, view) {
  if (!shown) return;
  const how = { x: view.x, log: view.log, smoothing: () => view.smoothing, stretch: () => view.stretch };
  save(await pngOf(shown, how, { title: name, note: footnotes(shown, 0, view) }), `compare-${name}.png`);
}

/** @param {import("./lines.js").Series[] | null} series @param {View} view @returns {Picture | null} */
function usePicture(series, view) {
  const { sides, groups, x, log, starts } = view;
  const how = JSON.stringify([x, log, sides.map(({ key }) => key), groups, x === "elapsed" ? [...starts] : 0]);
  return useMemo(() => {
    if (!series) return null;
    const bySide = new Map(sides.map((side) => [`${side.uid}:${side.run.serial}`, side]));
    const placed = series.flatMap((one) => {
      const side = bySide.get(`${one.workload_uid}:${one.serial}`);
      return side ? [{ ...one, serial: side.place }] : []; // a serial means something within its workload only
    });
    const labels = new Map(sides.map(({ place, label }) => [place, label]));
    const drawn = picture(placed, {
      x, log, starts, label: ({ serial }) => labels.get(serial) ?? "",
      colour: ({ serial }) => runColour(serial), dashed: ({ serial }) => runDashed(serial),
    });
    return groups ? grouped(drawn, placed, groups) : drawn;
  }, [series, how]);
}

/** The lines of each group as one. @param {Picture} drawn @param {{serial: number}[]} placed @param {Group[]} groups @returns {Picture} */
function grouped(drawn, placed, groups) {
  const lines = groups.flatMap((group) => {
    const places = new Set(group.sides.map(({ place }) => place));
    const of = drawn.lines.filter((_, i) => places.has(placed[i].serial));
    if (!of.length) return [];
    const mean = meanOf(of);
    const last = mean.ys.findLast((y) => !Number.isNaN(y)) ?? null;
    return [{
      ...mean, key: group.key, label: group.label, colour: runColour(group.place), dashed: runDashed(group.place), ghost: false,
      steps: mean.xs, total: of.reduce((sum, one) => sum + one.total, 0), shown: of.reduce((sum, one) => sum + one.shown, 0), last,
    }];
  });
  return { ...drawn, lines, marks: [], spikes: [], bands: [] };
}

/** @param {{shown: Picture | null, view: View, read: (found: import("./readout.js").Reading[] | null) => void}} what */
function useChart({ shown, view, read }) {
  const host = useRef(null);
  const latest = useRef(view);
  const drawn = useRef(/** @type {import("./chart.js").Chart | null} */ (null));
  latest.current = view;
  useEffect(() => {
    if (!shown?.lines.length) return undefined;
    drawn.current = drawChart(host.current, shown, {
      x: view.x, log: view.log, smoothing: () => latest.current.smoothing, stretch: () => latest.current.stretch,
      zoom: (stretch) => latest.current.zoom(stretch), read,
    });
    return () => {
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, [`${view.x} ${view.log} ${look.value} ${Boolean(shown?.lines.length)}`]);
  useEffect(() => {
    if (shown) drawn.current?.update(shown);
  }, [shown]);
  useEffect(() => drawn.current?.redraw(), [view.stretch?.lo, view.stretch?.hi, view.smoothing]);
  return { host, keys: (/** @type {KeyboardEvent} */ event) => steer(event, drawn.current) };
}

/** @param {Picture | null} shown @param {number} missing @param {View} view */
function footnotes(shown, missing, view) {
  if (!shown?.lines.length) return "";
  const total = shown.lines.reduce((sum, line) => sum + line.total, 0);
  const drawn = shown.lines.reduce((sum, line) => sum + line.shown, 0);
  const notes = [drawn < total ? `${say.count(drawn)} points shown of ${say.count(total)}` : `${say.count(total)} point${total === 1 ? "" : "s"}`];
  if (view.groups) notes.unshift("mean and range");
  const odd = shown.marks.length;
  if (odd) notes.push(`${drawn < total ? "≥ " : ""}${say.count(odd)} not finite`);
  if (missing > 0) notes.push(`not logged by ${say.count(missing)}`);
  if (shown.unloggable) notes.push(`${say.count(shown.unloggable)} not above 0, off the log axis`);
  if (view.stretch) notes.push("zoomed");
  return notes.join(" · ");
}

/** What the chart shows, for those who listen. @param {string} name @param {Picture | null} shown */
function inWords(name, shown) {
  if (!shown) return `${name}: loading`;
  const words = shown.lines.slice(0, 8).map((line) => `${line.label} latest ${say.number(line.last)}`);
  return `Chart of ${name}: ${shown.lines.length} line${shown.lines.length === 1 ? "" : "s"}. ${words.join("; ")}`;
}
