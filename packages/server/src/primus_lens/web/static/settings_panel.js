// The runs of a workload and their configuration, to search.
import { html } from "./vendor/index.js";
import { choose, chosen } from "./address.js";
import { runColour, runDashed } from "./card.js";
import { Ago, Filter, StateMark, When } from "./frame.js";
import { nameFilter } from "./grouping.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Run} Run */

const RUNS_BESIDE = 12; // columns of configuration; more are not read

/** @param {{runs: Run[]}} props */
export function SettingsPanel({ runs }) {
  return html`<section class="panel" aria-label="Runs and configuration">
    <h2>Runs <small>${say.count(runs.length)}</small></h2>
    <${Runs} runs=${runs} />
    <${Config} runs=${runs} />
  </section>`;
}

/** @param {{runs: Run[]}} props */
function Runs({ runs }) {
  return html`<div class="wide"><table>
    <thead><tr><th scope="col">Run</th><th scope="col">State</th><th scope="col">Rank</th><th scope="col">Started</th>
      <th scope="col">Last report</th><th scope="col" class="n">Step</th><th scope="col">Tags</th></tr></thead>
    <tbody>${runs.map((run) => html`<tr key=${run.serial}>
      <th scope="row"><span class="key ${runDashed(run.serial) ? "dashed" : ""}" style=${{ color: runColour(run.serial) }}></span>
        ${run.serial} · ${run.name ?? run.run_id} ${run.name && html`<small>${run.run_id}</small>`}</th>
      <td><${StateMark} state=${run.state} /></td>
      <td>${run.rank ?? "–"}${run.world_size ? html` <small>of ${say.count(run.world_size)}</small>` : ""}</td>
      <td>${run.started_at ? html`<${When} ms=${run.started_at} />` : "–"}</td>
      <td>${run.last_seen ? html`<${Ago} ms=${run.last_seen} />` : "–"}</td>
      <td class="n">${run.last_step === null ? "–" : say.count(run.last_step)}</td>
      <td>${(run.tags ?? []).map((tag) => html`<span class="tag">${tag}</span> `)}</td></tr>`)}</tbody>
  </table></div>`;
}

/** Settings side by side; those that differ between runs stand out and first.
 * @param {{runs: Run[]}} props */
function Config({ runs }) {
  const some = [...runs].reverse().slice(0, RUNS_BESIDE);
  const flat = some.map((run) => new Map(leaves(run.config ?? {}, "")));
  const keys = [...new Set(flat.flatMap((config) => [...config.keys()]))].sort();
  if (!keys.length) return html`<h2>Configuration</h2><p class="dim">No run has told its configuration (<code>wandb.init(config=…)</code>).</p>`;
  /** @param {string} key */
  const differs = (key) => new Set(flat.map((config) => config.get(key))).size > 1;
  const { matches } = nameFilter(chosen("find"));
  const onlyDiffering = chosen("differs") === "only";
  const several = some.length > 1;
  const shown = keys
    .filter((key) => matches(key) || flat.some((config) => matches(config.get(key) ?? "")))
    .filter((key) => !onlyDiffering || differs(key))
    .sort((a, b) => Number(differs(b)) - Number(differs(a)));
  return html`<h2>Configuration <small>${shown.length === keys.length ? say.count(keys.length) : `${say.count(shown.length)} of ${say.count(keys.length)}`}</small></h2>
    <div class="tools"><${Filter} label="Search settings and values" value=${chosen("find")}
        onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ find: text }, { replace: typing })} />
      ${several && html`<label class="check"><input type="checkbox" checked=${onlyDiffering}
        onChange=${(/** @type {any} */ event) => choose({ differs: event.target.checked ? "only" : null })} /> Only what differs</label>`}
      ${runs.length > some.length && html`<small>the newest ${some.length} of ${say.count(runs.length)} runs</small>`}</div>
    ${shown.length ? html`<div class="wide"><table class="config">
      ${several && html`<thead><tr><th scope="col">Setting</th>${some.map((run) => html`<th scope="col" title=${run.name ?? run.run_id}>run ${run.serial}</th>`)}</tr></thead>`}
      <tbody>${shown.map((key) => html`<tr key=${key} class=${several && differs(key) ? "differs" : ""}><th scope="row">${key}</th>
        ${flat.map((config) => html`<td>${config.get(key) ?? "–"}</td>`)}</tr>`)}</tbody>
    </table></div>` : html`<p class="dim">Nothing matches “${chosen("find")}”${onlyDiffering ? " among what differs" : ""}.</p>`}`;
}

/** {"a": {"b": 1}} gives ["a.b", "1"]. @param {Record<string, any>} config @param {string} path
 * @returns {[string, string][]} */
export function leaves(config, path) {
  return Object.entries(config).flatMap(([key, value]) => {
    const name = path ? `${path}.${key}` : key;
    const inner = value !== null && typeof value === "object" && !Array.isArray(value);
    return inner && Object.keys(value).length
      ? leaves(value, name)
      : [/** @type {[string, string]} */ ([name, typeof value === "string" ? value : JSON.stringify(value)])];
  });
}
