// The ranks of a workload beside each other: how long each took for each step, and which are slow.
import { html, signal, useEffect, useMemo, useRef, useSignal } from "./vendor/index.js";
import { choose, chosen } from "./address.js";
import { ask } from "./api.js";
import { cellAt, drawHeat, heightOf, layoutOf } from "./heat.js";
import { look } from "./look.js";
import { families, judged, stepsOf } from "./rank_times.js";
import * as say from "./say.js";
import { detailPath } from "./wishes.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./lines.js").Series} Series
 * @typedef {import("./rank_times.js").Verdict} Verdict
 * @typedef {import("./rank_times.js").Judged} Judged */

const ALL_POINTS = 400_000; // more are asked for thinned
const THINNED = 4000;

/** The answer, and the family of metrics it was asked for. @type {{value: {series: Series[], family: string, trouble: string} | null}} */
const times = signal(null);

/** The family of metrics that ranks are compared by. @param {Detail} known */
function familyOf(known) {
  const all = families(known.metrics);
  const wanted = chosen("by");
  return { all, family: all.find(({ name }) => name === wanted) ?? all[0] };
}

/** The metrics whose news concern this tab. @param {Detail} known @returns {string[]} */
export function rankMetrics(known) {
  return familyOf(known).family?.members.map(({ name }) => name) ?? [];
}

/** Ask for the times that are shown. @param {Detail} known */
export async function refreshRanks(known) {
  const { family } = familyOf(known);
  if (!family) return;
  const names = new Set(family.members.map(({ name }) => name));
  const count = known.metrics.filter(({ name }) => names.has(name)).reduce((sum, one) => sum + one.count, 0);
  const query = new URLSearchParams({ format: "columns" });
  if (count > ALL_POINTS) query.set("max_points", String(THINNED));
  for (const name of names) query.append("metric", name);
  const answer = await ask(`${detailPath(known.workload_uid)}/metrics/data?${query}`);
  if (times.value?.series !== answer.series) times.value = { series: answer.series, family: family.name, trouble: "" };
}

/** @param {{known: Detail, names: (serial: number) => string}} props */
export function Ranks({ known, names }) {
  const { all, family } = familyOf(known);
  useEffect(() => {
    refreshRanks(known).catch((error) => { times.value = { series: [], family: family?.name ?? "", trouble: error.message }; });
  }, [family?.name, known.metrics.length]);
  if (!family) return html`<div class="empty"><h2>Nothing to compare yet</h2><p>Ranks appear here with the first number logged.</p></div>`;
  const got = times.value?.family === family.name ? times.value : null;
  const ranks = useMemo(() => (got ? ranksOf(got.series, known, { family, names }) : []), [got, known.runs]);
  const verdict = useMemo(() => judged(ranks), [ranks]);
  return html`<section class="ranks" aria-label="Ranks">
    <div class="tools"><label class="pick">Compare by <select value=${family.name} onChange=${(/** @type {any} */ event) => choose({ by: event.target.value })}>
      ${[["Timings", true], ["Other metrics", false]].map(([label, timing]) => {
        const some = all.filter((one) => one.timing === timing);
        return some.length > 0 && html`<optgroup label=${label}>${some.map(({ name }) => html`<option value=${name}>${name}</option>`)}</optgroup>`;
      })}</select></label>
      <span class="summary">${verdict.columns ? `${say.count(ranks.length)} rank${ranks.length === 1 ? "" : "s"}, steps ${say.count(verdict.from)} to ${say.count(verdict.to)}` : ""}</span></div>
    ${got?.trouble && html`<p class="odd" role="alert">${got.trouble}</p>`}
    ${!got && html`<div class="skeleton"><i></i><i></i><i></i></div>`}
    ${got && !got.trouble && ranks.length < 2 && html`<div class="empty"><h2>One rank alone</h2>
      <p>Ranks are compared when several processes of a job log the same metric: let each rank call <code>wandb.init</code>, or log
      one metric a rank, such as <code>rank_3/step_time</code>.</p></div>`}
    ${ranks.length > 1 && html`<${Finding} verdict=${verdict} /><${Heat} verdict=${verdict} /><${Table} verdict=${verdict} />`}
  </section>`;
}

/** @param {Series[]} series @param {Detail} known
 * @param {{family: {members: {name: string, rank: string}[]}, names: (serial: number) => string}} how */
function ranksOf(series, known, { family, names }) {
  const inName = new Map(family.members.map(({ name, rank }) => [name, rank]));
  const several = new Set(series.map(({ serial }) => serial)).size > 1;
  return series.filter(({ replaced }) => !replaced).map((one) => {
    const run = known.runs.find(({ serial }) => serial === one.serial);
    const rank = inName.get(one.metric) || (run?.rank ?? null);
    const name = several ? names(one.serial) : "";
    return {
      key: `${one.metric} ${one.serial} ${one.data_source}`,
      label: rank === null ? name : `rank ${rank}`,
      title: rank === null ? name : `rank ${rank}${name ? ` · ${name}` : ""}`,
      order: rank === null ? one.serial : Number(rank),
      steps: one.step,
      values: one.value.map((value) => (typeof value === "number" ? value : NaN)),
    };
  }).sort((a, b) => a.order - b.order);
}

/** @param {{verdict: Verdict}} props */
function Finding({ verdict }) {
  const slow = slowest(verdict);
  if (!verdict.enough) return html`<p class="finding">Two ranks cannot tell which of them is slow; from three on, slow ranks are named here.</p>`;
  if (!slow.length) return html`<p class="finding good" role="status">No rank is slow: none stays more than ${say.number(verdict.limit)} above the ranks’ median.</p>`;
  return html`<div class="finding bad" role="status"><strong>${slow.length === 1 ? "1 rank is slow" : `${say.count(slow.length)} ranks are slow`}:</strong>
    <ul>${slow.slice(0, 8).map(({ rank, excess, share }) => html`<li key=${rank.key}><b>${rank.label}</b>${" "}
      ${percent(share)} over the ranks’ median (${say.number(excess)} a step)</li>`)}</ul>
    ${slow.length > 8 && html`<span>and ${say.count(slow.length - 8)} more, in the table below</span>`}</div>`;
}

/** @param {Verdict} verdict */
function slowest(verdict) {
  return verdict.ranks.filter(({ slow }) => slow).sort((a, b) => b.excess - a.excess);
}

/** @param {number} share */
function percent(share) {
  return `${share < 0 ? "−" : "+"}${say.number(Number((Math.abs(share) * 100).toPrecision(3)))} %`;
}

/** @param {{verdict: Verdict}} props */
function Heat({ verdict }) {
  const box = useRef(null);
  const width = useSignal(0);
  const at = useSignal(/** @type {{column: number, rank: number} | null} */ (null));
  useEffect(() => {
    const size = new ResizeObserver(() => { width.value = box.current.clientWidth; });
    size.observe(box.current);
    return () => size.disconnect();
  }, []);
  const layout = layoutOf(width.value, verdict);
  const height = heightOf(layout);
  const place = at.value && at.value.rank < layout.ranks && at.value.column < layout.columns ? at.value : null;
  useEffect(() => {
    if (width.value) drawHeat(box.current.querySelector("canvas"), verdict, layout, { words: say.short, chosen: place });
  }, [verdict, width.value, look.value, place?.column, place?.rank]);
  /** @param {MouseEvent} event */
  const point = (event) => {
    const { left, top } = box.current.getBoundingClientRect();
    at.value = cellAt(layout, event.clientX - left, event.clientY - top);
  };
  /** @param {KeyboardEvent} event */
  const move = (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!dx && !dy) return;
    event.preventDefault();
    const { column, rank } = place ?? { column: -dx, rank: -dy };
    at.value = { column: Math.min(layout.columns - 1, Math.max(0, column + dx)), rank: Math.min(layout.ranks - 1, Math.max(0, rank + dy)) };
  };
  return html`<figure class="heat"><div class="field" ref=${box} tabindex="0" role="img" onMouseMove=${point}
      onMouseLeave=${() => { at.value = null; }} onKeyDown=${move} aria-label=${heatInWords(verdict)}
      aria-description="Arrow keys read cell by cell" style=${{ height: `${height}px` }}>
      <canvas style=${{ width: `${width.value}px`, height: `${height}px` }}></canvas>
      ${place && html`<${CellTip} verdict=${verdict} place=${place} layout=${layout} />`}</div>
    <figcaption style=${{ paddingLeft: `${layout.left}px` }}><span class="scale" aria-hidden="true"></span>
      <span>≤ −50 %</span><span>as the ranks’ median of each step</span><span>≥ +50 %</span></figcaption></figure>`;
}

/** @param {Verdict} verdict */
function heatInWords(verdict) {
  const slow = slowest(verdict).map(({ rank }) => rank.label);
  return `Times of ${verdict.ranks.length} ranks from step ${verdict.from} to ${verdict.to}; slow: ${slow.join(", ") || "none"}`;
}

/** @param {{verdict: Verdict, place: {column: number, rank: number}, layout: import("./heat.js").Layout}} props */
function CellTip({ verdict, place, layout }) {
  const { rank, cells } = verdict.ranks[place.rank];
  const [first, last] = stepsOf(verdict, place.column);
  const time = cells[place.column];
  const usual = verdict.usual[place.column];
  const x = layout.left + ((place.column + 0.5) / layout.columns) * layout.width;
  const right = x > (layout.left + layout.width) / 2;
  const side = right ? { right: `${layout.left + layout.width + 8 - x + 14}px` } : { left: `${x + 14}px` };
  return html`<div class="tip" role="status" style=${{ ...side, top: `${Math.min(place.rank * layout.row, heightOf(layout) - 60)}px` }}>
    <b>${first === last ? `step ${say.count(first)}` : `steps ${say.count(first)} to ${say.count(last)}`}</b>
    <span><strong>${say.number(Number.isNaN(time) ? null : time)}</strong> ${rank.title ?? rank.label}</span>
    <span><strong>${say.number(usual)}</strong> median of all${Number.isNaN(time) ? "" : `, ${percent(time / usual - 1)}`}</span></div>`;
}

/** @param {{verdict: Verdict}} props */
function Table({ verdict }) {
  const rows = [...verdict.ranks].sort((a, b) => (b.excess || 0) - (a.excess || 0));
  return html`<details class="fold"><summary>All ranks, the slowest first</summary><div class="wide"><table>
    <thead><tr><th scope="col">Rank</th><th scope="col" class="n">Median</th><th scope="col" class="n">Over the ranks’ median</th>
      <th scope="col" class="n">In per cent</th><th scope="col">Verdict</th></tr></thead>
    <tbody>${rows.map(({ rank, usual, excess, share, slow }) => html`<tr key=${rank.key} class=${slow ? "slow" : ""}>
      <th scope="row">${rank.title ?? rank.label}</th><td class="n">${say.number(usual)}</td><td class="n">${say.number(excess)}</td>
      <td class="n">${percent(share)}</td><td>${slow ? "slow" : "as the others"}</td></tr>`)}</tbody></table></div></details>`;
}
