// What framework a workload is thought to run: who said so, with what evidence, who disagrees; and a way to
// say it better.
import { html, useSignal } from "./vendor/index.js";
import { choose, chosen } from "./address.js";
import { send } from "./api.js";
import { Filter, When } from "./frame.js";
import { nameFilter } from "./grouping.js";
import { leaves } from "./settings_panel.js";
import { detailPath } from "./wishes.js";

/** @typedef {import("./api.js").Detection} Detection
 * @typedef {import("./api.js").Source} Source */

const BY_A_PERSON = "user";
const KNOWN = ["primus", "lightning", "transformers_trainer", "accelerate", "megatron", "deepspeed", "fsdp", "jax", "keras", "pytorch", "tensorflow"];
const HOW = /** @type {Record<string, string>} */ ({
  user: "said by a person", import: "from what the job imported", env_vars: "from environment variables",
  wandb_config: "from the run’s configuration", pytorch_modules: "from loaded modules", project_name: "from the project’s name",
});

/** In words: "primus · megatron". @param {Detection | null} detection */
export function frameworkWords(detection) {
  const names = [detection?.wrapper_framework, detection?.base_framework].filter(Boolean);
  return [...new Set(names.length ? names : [detection?.framework].filter(Boolean))].join(" · ");
}

/** @param {string | null} method */
export function methodWords(method) {
  return method ? HOW[method] ?? `by ${method.replaceAll("_", " ")}` : "";
}

/** @param {number | null | undefined} confidence */
function sure(confidence) {
  return confidence ? `${Math.round(confidence * 100)} % sure` : "";
}

/** @param {{uid: string, detection: Detection | null, refresh: () => void}} props */
export function FrameworkPanel({ uid, detection, refresh }) {
  const words = frameworkWords(detection);
  const sources = Object.entries(detection?.sources ?? {});
  return html`<section class="panel" aria-label="Framework">
    <div class="columns"><div>
      <h2>Framework</h2>
      <p class="large">${words || "not known"}</p>
      <p class="dim">${[detection?.status, sure(detection?.confidence), methodWords(detection?.method ?? null)].filter(Boolean).join(" · ")
        || "No report has said anything of a framework yet."}</p>
      <${Conflicts} conflicts=${detection?.conflicts ?? []} />
      </div><${Override} uid=${uid} detection=${detection} refresh=${refresh} /></div>
    ${sources.length > 0 && html`<h2>Who says so</h2><${Sources} sources=${sources} /><${EvidenceTable} sources=${sources} />`}
  </section>`;
}

/** @param {{conflicts: Record<string, any>[]}} props */
function Conflicts({ conflicts }) {
  if (!conflicts.length) return null;
  const others = new Set(conflicts.map((one) => one.dropped_source)).size;
  return html`<div class="note warn"><strong>${others === 1 ? "One source disagrees" : `${others} sources disagree`}</strong>
    <ul>${conflicts.map((one) => html`<li>${who(one.kept_source)} says <b>${one.kept}</b>, ${who(one.dropped_source)} says${" "}
      <b>${one.dropped}</b> (${one.layer}); kept by ${one.resolution === BY_A_PERSON ? "a person’s word" : one.resolution}</li>`)}</ul></div>`;
}

/** @param {string} source */
function who(source) {
  return source === BY_A_PERSON ? "a person" : source;
}

/** @param {{sources: [string, Source][]}} props */
function Sources({ sources }) {
  return html`<div class="wide"><table>
    <thead><tr><th scope="col">Source</th><th scope="col">Says</th><th scope="col">How</th><th scope="col">Confidence</th>
      <th scope="col">Signs</th><th scope="col">Told</th></tr></thead>
    <tbody>${sources.map(([name, { at, detection }]) => html`<tr key=${name}>
      <th scope="row">${who(name)}</th>
      <td>${[detection?.wrapper_framework, detection?.base_framework].filter(Boolean).join(" · ") || detection?.framework || "nothing"}</td>
      <td>${methodWords(detection?.method ?? null) || "–"}</td><td>${sure(detection?.confidence) || "–"}</td>
      <td>${(detection?.indicators ?? []).map((sign) => html`<code class="sign">${sign}</code> `)}</td>
      <td><${When} ms=${at * 1000} /></td></tr>`)}</tbody></table></div>`;
}

/** What the sources saw, flat and searchable. @param {{sources: [string, Source][]}} props */
function EvidenceTable({ sources }) {
  const rows = sources.flatMap(([name, { evidence, hints }]) => [
    ...leaves(/** @type {any} */ (evidence) ?? {}, ""),
    ...leaves(/** @type {any} */ (hints) ?? {}, "hints"),
  ].map(([key, value]) => ({ name, key, value }))).filter(({ key, value }) => !(key === "hints" && value === "{}"));
  if (!rows.length) return null;
  const { matches } = nameFilter(chosen("find"));
  const shown = rows.filter(({ name, key, value }) => matches(key) || matches(value) || matches(name));
  return html`<h2>Evidence <small>${shown.length === rows.length ? rows.length : `${shown.length} of ${rows.length}`}</small></h2>
    <div class="tools"><${Filter} label="Search the evidence" value=${chosen("find")}
      onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ find: text }, { replace: typing })} /></div>
    ${shown.length ? html`<div class="wide"><table class="config">
      <thead><tr><th scope="col">Sign</th><th scope="col">Value</th><th scope="col">Source</th></tr></thead>
      <tbody>${shown.map(({ name, key, value }) => html`<tr key=${`${name} ${key}`}>
      <th scope="row">${key}</th><td>${value}</td><td class="dim">${name}</td></tr>`)}</tbody></table></div>`
      : html`<p class="dim">Nothing matches “${chosen("find")}”.</p>`}`;
}

/** @param {{uid: string, detection: Detection | null, refresh: () => void}} props */
function Override({ uid, detection, refresh }) {
  const trouble = useSignal("");
  const done = useSignal("");
  const said = Boolean(detection?.sources?.[BY_A_PERSON]);
  /** @param {() => Promise<unknown>} work @param {string} words */
  const tried = async (work, words) => {
    trouble.value = done.value = "";
    try {
      await work();
      done.value = words;
      refresh();
    } catch (error) {
      trouble.value = error instanceof Error ? error.message : String(error);
    }
  };
  /** @param {any} event */
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const [wrapper, base] = ["wrapper", "base"].map((name) => String(fields.get(name) ?? "").trim() || undefined);
    void tried(() => send("PUT", `${detailPath(uid)}/detection`, { wrapper_framework: wrapper, base_framework: base }), "Saved. It outranks every report.");
  };
  return html`<form class="override" onSubmit=${submit} aria-label="Correct the framework">
    <h2>Is this wrong?</h2>
    <p class="dim">What a person says outranks every report until it is withdrawn.</p>
    <label>Wrapper <input name="wrapper" key=${detection?.wrapper_framework} list="frameworks" defaultValue=${detection?.wrapper_framework ?? ""} placeholder="such as lightning" autocomplete="off" spellcheck="false" /></label>
    <label>Base <input name="base" key=${detection?.base_framework} list="frameworks" defaultValue=${detection?.base_framework ?? ""} placeholder="such as megatron" autocomplete="off" spellcheck="false" /></label>
    <datalist id="frameworks">${KNOWN.map((name) => html`<option value=${name}></option>`)}</datalist>
    <div class="row"><button type="submit" class="main">Save</button>
      ${said && html`<button type="button" onClick=${() => tried(() => send("DELETE", `${detailPath(uid)}/detection`), "Withdrawn. The reports decide again.")}>Withdraw</button>`}</div>
    ${trouble.value && html`<p class="odd" role="alert">${trouble.value}</p>`}
    ${done.value && html`<p class="good" role="status">${done.value}</p>`}
  </form>`;
}
