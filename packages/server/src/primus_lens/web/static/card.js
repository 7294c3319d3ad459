// One metric: its name, latest value, chart, and how much of it is shown. Draws only while seen.
import { html, useEffect, useMemo, useRef, useSignal } from "./vendor/index.js";
import { ask } from "./api.js";
import { drawChart } from "./chart.js";
import { picture } from "./lines.js";
import { look } from "./look.js";
import { placeWords } from "./readout.js";
import { csvOf, pngOf, save } from "./saving.js";
import * as say from "./say.js";
import { curvesPath } from "./wishes.js";

/** @typedef {import("./curves.js").Curve} Curve
 * @typedef {import("./lines.js").Picture} Picture
 * @typedef {import("./lines.js").Line} Line
 * @typedef {import("./readout.js").Reading} Reading
 * @typedef {{uid: string, x: import("./lines.js").XMode, xName: string, log: boolean, smoothing: number,
 *   stretch: {lo: number, hi: number} | null, zoom: (stretch: {lo: number, hi: number} | null) => void,
 *   wish: import("./wishes.js").Wish, hidden: Set<number>, ghosts: boolean, starts: Map<number, number>,
 *   names: (serial: number) => string, enlarge: (name: string) => void, pins: string[], pin: (name: string) => void,
 *   curves: ReturnType<typeof import("./curves.js").curvesOf>}} View */

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
  useEffect(() => {
    let away = () => {};
    return whileSeen(card.current, (near) => {
      away();
      away = near ? view.curves.watch(metric.name) : () => {};
      seen.value = near;
    });
  }, [metric.name, view.curves]);
  return html`<article ref=${card} class="card" data-metric=${metric.name} aria-label=${metric.name}>
    ${seen.value ? html`<${Body} metric=${metric} view=${view} full=${false} />` : html`<header><${Name} name=${metric.name} /></header>`}
  </article>`;
}

/** The same over the whole window, with what each run says under the cursor.
 * @param {{metric: import("./api.js").Metric, view: View}} props */
export function FullScreen({ metric, view }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current?.showModal();
    return view.curves.watch(metric.name);
  }, [metric.name, view.curves]);
  return html`<dialog ref=${dialog} class="full" data-metric=${metric.name} aria-label=${`${metric.name}, full screen`}
    onClose=${() => view.enlarge("")}><${Body} metric=${metric} view=${view} full=${true} /></dialog>`;
}

/** @param {{metric: import("./api.js").Metric, view: View, full: boolean}} props */
function Body({ metric, view, full }) {
  const read = useSignal(/** @type {Reading[] | null} */ (null));
  const curve = view.curves.curve(metric.name).value;
  const shown = usePicture(curve, view);
  const words = useMemo(() => inWords(metric.name, shown), [metric.name, shown]);
  const chart = useChart({ shown, view, read: (found) => { read.value = found; } });
  return html`
    <header><${Name} name=${metric.name} />
      <${Latest} shown=${shown} read=${read} />
      <${Actions} name=${metric.name} shown=${shown} view=${view} full=${full} />
    </header>
    <div class="plot" ref=${chart.host} role="img" tabindex="0" autofocus=${full} aria-label=${words}
      aria-description="Arrow keys read point by point, plus and minus zoom" onKeyDown=${chart.keys}></div>
    ${!shown && !curve?.trouble && html`<i class="waiting" aria-hidden="true"></i>`}
    ${curve?.trouble && html`<p class="none" role="alert">${curve.trouble}</p>`}
    ${shown && shown.lines.length === 0 && !curve?.trouble && html`<p class="none">No points to show</p>`}
    <footer>${footnotes(shown, view)}</footer>
    <${Spoken} read=${read} view=${view} />
    ${full && shown && html`<${Values} shown=${shown} read=${read} view=${view} />`}`;
}

/** The end of a long name tells it apart, so the front gives way. @param {{name: string}} props */
function Name({ name }) {
  const slash = name.indexOf("/");
  return html`<h3 title=${name}>${slash > 0 && html`<span class="dim">${name.slice(0, slash + 1)}</span>`}${name.slice(slash > 0 ? slash + 1 : 0)}</h3>`;
}

/** The newest value, or with one run what is under the cursor. @param {{shown: Picture | null, read: {value: Reading[] | null}}} props */
function Latest({ shown, read }) {
  const found = read.value;
  const only = shown?.lines.filter(({ ghost }) => !ghost).length === 1 ? found?.find(({ line }) => !line.ghost) : undefined;
  const last = latest(shown)?.last;
  return html`<span class=${only ? "latest read" : "latest"} data-read=${only?.text}
    title=${last === undefined || last === null ? "latest value" : `latest value ${say.exact(last)}`}>${only ? only.text : say.number(last)}</span>`;
}

/** For those who move the cursor by keys and listen. @param {{read: {value: Reading[] | null}, view: Pick<View, "x" | "xName">}} props */
export function Spoken({ read, view }) {
  const found = read.value;
  if (!found?.length || !document.activeElement?.matches(".plot")) return null;
  const words = found.slice(0, 5).map(({ line, text }) => (found.length > 1 ? `${line.label} ${text}` : text));
  return html`<span class="heard" role="status">${placeWords(found[0].x, view.x, view.xName)}: ${words.join(", ")}</span>`;
}

/** @param {{name: string, shown: Picture | null, view: View, full: boolean}} props */
function Actions({ name, shown, view, full }) {
  const trouble = useSignal("");
  const pinned = view.pins.includes(name);
  /** @param {() => Promise<void>} work */
  const tried = (work) => () => {
    trouble.value = "";
    work().catch((error) => { trouble.value = error.message; });
  };
  return html`<span class="actions">
    ${trouble.value && html`<small role="alert" class="odd">${trouble.value}</small>`}
    <button class="quiet" aria-pressed=${pinned} aria-label=${`Pin ${name}`} title=${pinned ? "Unpin" : "Pin to the top"}
      onClick=${() => view.pin(name)}>${pinned ? "★" : "☆"}</button>
    <button class="quiet word" disabled=${!shown?.lines.length} aria-label=${`Save ${name} as PNG`} title="Save the picture as PNG"
      onClick=${tried(() => savePng(name, shown, view))}>PNG</button>
    <button class="quiet word" disabled=${!shown?.lines.length} aria-label=${`Save ${name} as CSV`} title="Save every point of what is shown as CSV"
      onClick=${tried(() => saveCsv(name, view))}>CSV</button>
    <button class="quiet" aria-label=${`${full ? "Shrink" : "Enlarge"} ${name}`} title=${full ? "Back (Esc)" : "Full screen"}
      onClick=${() => view.enlarge(full ? "" : name)}>${full ? "✕" : "⤢"}</button>
  </span>`;
}

/** @param {string} name @param {Picture | null} shown @param {View} view */
async function savePng(name, shown, view) {
  if (!shown) return;
  const { x, xName, log, smoothing, stretch, uid } = view;
  const how = { x, xName, log, smoothing: () => smoothing, stretch: () => stretch };
  const blob = await pngOf(shown, how, { title: name, note: `${uid} · ${footnotes(shown, view)}` });
  save(blob, `${uid}-${name}.png`);
}

/** All points, not only those drawn. @param {string} name @param {View} view */
async function saveCsv(name, view) {
  const { series } = await ask(curvesPath(view.uid, [name], { ...view.wish, points: null }));
  const wanted = series.filter((/** @type {import("./lines.js").Series} */ { serial }) => !view.hidden.has(serial));
  const text = csvOf(wanted, { x: view.wish.x, names: ({ serial }) => view.names(serial) });
  save(new Blob([text], { type: "text/csv" }), `${view.uid}-${name}.csv`);
}

/** @param {Curve | null} curve @param {View} view @returns {Picture | null} */
function usePicture(curve, view) {
  const { x, log, starts, hidden, ghosts, names } = view;
  const how = `${x} ${log} ${ghosts} ${[...hidden]} ${x === "elapsed" ? [...starts] : ""}`;
  return useMemo(() => {
    if (!curve) return null;
    const wanted = curve.series.filter(({ serial, replaced }) => !hidden.has(serial) && (ghosts || !replaced));
    return picture(wanted, {
      x, log, starts, label: ({ serial }) => names(serial),
      colour: ({ serial }) => runColour(serial), dashed: ({ serial }) => runDashed(serial),
    });
  }, [curve, how]);
}

/** Draw into the returned place.
 * @param {{shown: Picture | null, view: View, read: (found: Reading[] | null) => void}} what */
function useChart({ shown, view, read }) {
  const host = useRef(null);
  const latestView = useRef(view);
  const drawn = useRef(/** @type {import("./chart.js").Chart | null} */ (null));
  latestView.current = view;
  const kind = `${view.x} ${view.xName} ${view.log} ${look.value} ${Boolean(shown?.lines.length)}`;
  useEffect(() => {
    if (!shown?.lines.length) return undefined;
    drawn.current = drawChart(host.current, shown, {
      x: view.x,
      xName: view.xName,
      log: view.log,
      smoothing: () => latestView.current.smoothing,
      stretch: () => latestView.current.stretch,
      zoom: (stretch) => latestView.current.zoom(stretch),
      read,
    });
    return () => {
      drawn.current?.destroy();
      drawn.current = null;
      read(null);
    };
  }, [kind]);
  useEffect(() => {
    if (shown) drawn.current?.update(shown);
  }, [shown]);
  useEffect(() => drawn.current?.redraw(), [view.stretch?.lo, view.stretch?.hi, view.smoothing]);
  return { host, keys: (/** @type {KeyboardEvent} */ event) => steer(event, drawn.current) };
}

/** What the keys do in a chart. @param {KeyboardEvent} event @param {import("./chart.js").Chart | null} chart */
export function steer(event, chart) {
  if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
  const far = event.shiftKey ? 10 : 1;
  const acts = /** @type {Record<string, () => void>} */ ({
    ArrowLeft: () => chart.step(-far), ArrowRight: () => chart.step(far),
    "+": () => chart.widen(0.5), "=": () => chart.widen(0.5), "-": () => chart.widen(2),
  });
  if (!acts[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  acts[event.key]();
}

/** One watch for all cards: hundreds of them would each cost. @type {Map<Element, (near: boolean) => void>} */
const watchers = new Map();
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) watchers.get(target)?.(isIntersecting);
}, { rootMargin: NEAR });

/** @param {Element} element @param {(near: boolean) => void} tellNear */
function whileSeen(element, tellNear) {
  watchers.set(element, tellNear);
  watch.observe(element);
  return () => {
    watch.unobserve(element);
    watchers.delete(element);
    tellNear(false);
  };
}

/** The line of the newest run. @param {Picture | null} shown @returns {Line | undefined} */
function latest(shown) {
  return shown?.lines.filter(({ ghost }) => !ghost).at(-1);
}

/** @param {Picture | null} shown @param {View} view */
function footnotes(shown, view) {
  if (!shown || !shown.lines.length) return "";
  const lines = shown.lines.filter(({ ghost }) => !ghost);
  const total = lines.reduce((sum, line) => sum + line.total, 0);
  const drawn = lines.reduce((sum, line) => sum + line.shown, 0);
  const notes = [drawn < total
    ? `${say.count(drawn)} points shown of ${say.count(total)}`
    : `${say.count(total)} point${total === 1 ? "" : "s"}`];
  for (const [kind, word] of [["nan", "NaN"], ["up", "+∞"], ["down", "−∞"]]) {
    const n = shown.marks.filter((mark) => mark.kind === kind).length;
    // Thinning keeps the first of each stretch, so there may be more of them than are shown.
    if (n) notes.push(`${drawn < total ? "≥ " : ""}${say.count(n)} ${word}`);
  }
  if (shown.bands.length) notes.push("restarted");
  if (shown.unloggable) notes.push(`${say.count(shown.unloggable)} not above 0, off the log axis`);
  if (view.smoothing) notes.push(`smoothed ${view.smoothing}`);
  if (view.stretch) notes.push("zoomed");
  return notes.join(" · ");
}

/** What the chart shows, for those who listen. @param {string} name @param {Picture | null} shown */
function inWords(name, shown) {
  if (!shown) return `${name}: loading`;
  if (!shown.lines.length) return `${name}: no points`;
  const [low, high] = rangeOf(shown.lines);
  const n = shown.lines.filter(({ ghost }) => !ghost).length;
  return `Chart of ${name}: ${n} run${n === 1 ? "" : "s"}, `
    + `latest ${say.number(latest(shown)?.last)}, lowest ${say.number(low)}, highest ${say.number(high)}, `
    + `${shown.marks.length} not finite, ${shown.spikes.length} spikes`;
}

/** @param {Line[]} lines */
function rangeOf(lines) {
  let [low, high] = [Infinity, -Infinity];
  for (const { ys } of lines) for (const y of ys) [low, high] = [y < low ? y : low, y > high ? y : high];
  return [low, high];
}

/** A row a run: under the cursor, and over all that is shown.
 * @param {{shown: Picture, read: {value: Reading[] | null}, view: View}} props */
function Values({ shown, read, view }) {
  const found = read.value;
  const x = found?.[0]?.x;
  const head = x === undefined ? "Under the cursor" : `At ${placeWords(x, view.x, view.xName)}`;
  return html`<div class="values-table"><table>
    <thead><tr><th scope="col">Run</th><th scope="col" class="n">${head}</th><th scope="col" class="n">Latest</th>
      <th scope="col" class="n">Lowest</th><th scope="col" class="n">Highest</th><th scope="col" class="n">Points</th></tr></thead>
    <tbody>${[...shown.lines].reverse().map((line) => {
      const [low, high] = rangeOf([line]);
      const here = found?.find((one) => one.line.key === line.key);
      return html`<tr key=${line.key}><th scope="row"><i style=${{ background: line.colour }}></i>${line.label}</th>
        <td class="n strong">${here?.text ?? "–"}</td><td class="n" title=${line.last === null ? "" : say.exact(line.last)}>${say.number(line.last)}</td>
        <td class="n">${say.number(low === Infinity ? null : low)}</td><td class="n">${say.number(high === -Infinity ? null : high)}</td>
        <td class="n">${say.count(line.total)}</td></tr>`;
    })}</tbody></table></div>`;
}
