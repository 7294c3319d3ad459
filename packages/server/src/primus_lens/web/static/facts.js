// What is known about a workload beside its curves: runs, configuration, why the framework is thought so.
import { html } from "./vendor/index.js";
import { Ago, StateMark, When } from "./frame.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./api.js").Run} Run */

/** Folded away: asked for rarely. @param {{known: Detail}} props */
export function Facts({ known }) {
  return html`<details class="facts">
    <summary>Runs, configuration, detection</summary>
    <${Runs} runs=${known.runs} />
    <${Config} runs=${known.runs} />
    ${known.detection && html`<h4>Detection</h4>
      <pre>${JSON.stringify(known.detection, null, 2)}</pre>`}
  </details>`;
}

/** @param {{runs: Run[]}} props */
function Runs({ runs }) {
  return html`<div class="wide"><table>
    <thead><tr><th scope="col">Run</th><th scope="col">State</th><th scope="col">Started</th>
      <th scope="col">Last report</th><th scope="col" class="n">Step</th><th scope="col">Tags</th></tr></thead>
    <tbody>${runs.map((run) => html`<tr key=${run.serial}>
      <th scope="row">${run.serial} · ${run.name ?? run.run_id} ${run.name && html`<small>${run.run_id}</small>`}</th>
      <td><${StateMark} state=${run.state} /></td>
      <td>${run.started_at ? html`<${When} ms=${run.started_at} />` : "–"}</td>
      <td>${run.last_seen ? html`<${Ago} ms=${run.last_seen} />` : "–"}</td>
      <td class="n">${run.last_step === null ? "–" : say.count(run.last_step)}</td>
      <td>${(run.tags ?? []).join(", ")}</td></tr>`)}</tbody>
  </table></div>`;
}

/** Settings side by side; those that differ between runs stand out and first.
 * @param {{runs: Run[]}} props */
function Config({ runs }) {
  const flat = runs.map((run) => new Map(leaves(run.config ?? {}, "")));
  const keys = [...new Set(flat.flatMap((config) => [...config.keys()]))].sort();
  if (!keys.length) return null;
  /** @param {string} key */
  const differs = (key) => new Set(flat.map((config) => config.get(key))).size > 1;
  keys.sort((a, b) => Number(differs(b)) - Number(differs(a)));
  return html`<h4>Configuration</h4><div class="wide"><table>
    ${runs.length > 1 && html`<thead><tr><th scope="col">Setting</th>${runs.map((run) => html`<th scope="col">run ${run.serial}</th>`)}</tr></thead>`}
    <tbody>${keys.map((key) => html`<tr key=${key} class=${differs(key) ? "differs" : ""}><th scope="row">${key}</th>
      ${flat.map((config) => html`<td>${config.get(key) ?? "–"}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** {"a": {"b": 1}} gives ["a.b", "1"]. @param {Record<string, any>} config @param {string} path
 * @returns {[string, string][]} */
function leaves(config, path) {
  return Object.entries(config).flatMap(([key, value]) => {
    const name = path ? `${path}.${key}` : key;
    const inner = value !== null && typeof value === "object" && !Array.isArray(value);
    return inner && Object.keys(value).length
      ? leaves(value, name)
      : [/** @type {[string, string]} */ ([name, typeof value === "string" ? value : JSON.stringify(value)])];
  });
}
