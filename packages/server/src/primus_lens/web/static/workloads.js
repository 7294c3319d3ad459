// The list of workloads: who is training, how far they are, who has gone quiet.
import { effect, html, render, signal, useRef } from "./vendor/index.js";
import { choose, chosen, workloadAddress } from "./address.js";
import { ask, signedIn } from "./api.js";
import { Ago, Filter, Frame, Num, StateMark } from "./frame.js";
import { keepLive, now } from "./live.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Workload} Workload */

const PAGE = 100;
const FRESH_MS = 60_000;
const VALUES_SHOWN = 3;

/** @type {{value: {workloads: Workload[], total_count: number} | null}} */
const answer = signal(null);
const limit = signal(PAGE);

const live = keepLive(async () => {
  const query = new URLSearchParams({ limit: String(limit.value) });
  if (chosen("q")) query.set("q", chosen("q"));
  answer.value = await ask(`/workloads?${query}`);
});

let asked = `${limit.value} ${chosen("q")}`;
effect(() => {
  const wanted = `${limit.value} ${chosen("q")}`;
  if (wanted !== asked) live.refreshNow();
  asked = wanted;
});

function Page() {
  const q = chosen("q");
  return html`<${Frame} live=${live} shortcuts=${[]}>
    <div class="tools">
      <h1>Workloads</h1>
      <${Summary} />
      <${Filter} label="Filter by name, project, framework" value=${q}
        onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ q: text }, { replace: typing })} />
    </div>
    <${Content} q=${q} />
  <//>`;
}

function Summary() {
  const known = answer.value;
  if (!known || known.total_count === 0) return html`<p class="summary"></p>`;
  const words = [`${say.count(known.total_count)} in all`];
  if (known.workloads.length === known.total_count) {
    for (const state of ["running", "failed", "crashed"]) {
      const n = known.workloads.filter((workload) => workload.state === state).length;
      if (n) words.push(`${n} ${state}`);
    }
  }
  return html`<p class="summary">${words.join(" · ")}</p>`;
}

/** @param {{q: string}} props */
function Content({ q }) {
  const known = answer.value;
  if (!known) return live.pulse.value.trouble ? null : html`<${Skeleton} />`;
  if (known.total_count === 0) {
    return q ? html`<${NothingMatches} q=${q} />` : html`<${HowToBegin} />`;
  }
  return html`<${Table} workloads=${known.workloads} />
    ${known.workloads.length < known.total_count && html`<p class="more">
      <button onClick=${() => { limit.value += PAGE; }}>Show ${Math.min(PAGE, known.total_count - known.workloads.length)} more</button>
      ${say.count(known.workloads.length)} of ${say.count(known.total_count)} shown</p>`}`;
}

/** @param {{workloads: Workload[]}} props */
function Table({ workloads }) {
  const order = useRef(/** @type {string[]} */ ([]));
  const held = useRef(false);
  const rows = arrange(workloads, held.current ? order.current : []);
  order.current = rows.map((row) => row.workload_uid);
  // Rows keep their places while the pointer is among them: nobody likes a target that moves.
  return html`<table class="workloads" onPointerEnter=${() => { held.current = true; }}
      onPointerLeave=${() => { held.current = false; }}>
    <thead><tr>
      <th scope="col">Workload</th><th scope="col">State</th><th scope="col">Framework</th>
      <th scope="col" class="n">Step</th><th scope="col">Latest values</th><th scope="col" class="n">Last report</th>
    </tr></thead>
    <tbody>${rows.map((row) => html`<${Row} key=${row.workload_uid} workload=${row} />`)}</tbody>
  </table>`;
}

/** Latest activity first. Those that reported within a minute count as equally fresh and stand by
 * name, or running jobs would change places at every refresh.
 * @param {Workload[]} workloads @param {string[]} keep uids whose places stay */
export function arrange(workloads, keep) {
  const place = new Map(keep.map((uid, index) => [uid, index]));
  /** @param {Workload} w */
  const freshness = (w) => (now.value - w.last_seen < FRESH_MS ? Infinity : w.last_seen);
  return [...workloads].sort((a, b) => {
    const held = (place.get(a.workload_uid) ?? -1) - (place.get(b.workload_uid) ?? -1);
    if (keep.length && held) return held;
    const fresh = freshness(b) - freshness(a);
    return Number.isNaN(fresh) || fresh === 0 ? label(a).localeCompare(label(b)) : fresh;
  });
}

/** @param {Workload} workload */
function label(workload) {
  return workload.name ?? workload.workload_uid;
}

/** @param {{workload: Workload}} props */
function Row({ workload }) {
  const name = label(workload);
  const below = [
    workload.project,
    workload.runs > 1 && `${workload.runs} runs`,
    name !== workload.workload_uid && workload.workload_uid,
  ].filter(Boolean).join(" · ");
  return html`<tr onClick=${(/** @type {MouseEvent} */ event) => openRow(event, workload.workload_uid)}>
    <th scope="row"><a href=${workloadAddress(workload.workload_uid)} title=${name}>${name}</a>
      <small title=${below}>${below}</small></th>
    <td><${StateMark} state=${workload.state} /></td>
    <td class="framework"><${Framework} workload=${workload} /></td>
    <td class="n" data-label="step">${workload.last_step === null ? "–" : say.count(workload.last_step)}</td>
    <td class="values"><${Values} values=${workload.last_values} /></td>
    <td class="n"><${Ago} ms=${workload.last_seen} /></td>
  </tr>`;
}

/** A row is its link; what shows more on hover lies above the link and passes the click on.
 * @param {MouseEvent} event @param {string} uid */
function openRow(event, uid) {
  if (/** @type {Element} */ (event.target).closest("a")) return;
  if (event.ctrlKey || event.metaKey) window.open(workloadAddress(uid), "_blank", "noopener");
  else location.assign(workloadAddress(uid));
}

/** Wrapper over base, as in "primus · megatron". @param {{workload: Workload}} props */
function Framework({ workload }) {
  const names = [workload.wrapper_framework, workload.base_framework].filter(Boolean);
  const shown = [...new Set(names.length ? names : [workload.framework].filter(Boolean))];
  if (!shown.length) return html`<span class="dim">not known</span>`;
  const sure = workload.confidence === null ? "" : `${Math.round(workload.confidence * 100)} % sure`;
  return html`<span title=${sure}>${shown.join(" · ")}</span>`;
}

/** @param {{values: Record<string, import("./say.js").Value>}} props */
function Values({ values }) {
  const all = Object.entries(values ?? {});
  return html`<span class="pairs" title=${all.map(([name, value]) => `${name} ${say.exact(value)}`).join("\n")}>
    ${all.slice(0, VALUES_SHOWN).map(([name, value]) => html`<span><small>${name}</small> <${Num} value=${value} /></span>`)}
  </span>`;
}

function Skeleton() {
  return html`<div class="skeleton" role="status" aria-label="Loading workloads">
    ${[1, 2, 3, 4, 5, 6].map(() => html`<i></i>`)}</div>`;
}

/** @param {{q: string}} props */
function NothingMatches({ q }) {
  return html`<div class="empty"><h2>No workload matches “${q}”</h2>
    <p><button onClick=${() => choose({ q: "" })}>Show all</button></p></div>`;
}

function HowToBegin() {
  const commands = [
    "pip install primus-lens-wandb-exporter",
    `export PRIMUS_LENS_API_BASE_URL=${location.origin}/api/v1`,
    ...(signedIn.value ? ["export PRIMUS_LENS_API_TOKEN=lens_…  # with the scope ingest"] : []),
    "export WORKLOAD_UID=my-first-job",
    "python train.py",
  ].join("\n");
  return html`<div class="empty">
    <h2>No job has reported yet</h2>
    <p>A job that logs to Weights & Biases shows up here by itself once these are in its environment;
      the training code stays as it is.</p>
    <pre id="commands">${commands}</pre>
    <${CopyButton} text=${commands} />
    <p class="dim">This page is watching: the job appears within seconds of its first <code>wandb.log</code>.</p>
  </div>`;
}

/** @param {{text: string}} props */
function CopyButton({ text }) {
  const button = useRef(null);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      button.current.textContent = "Copied";
    } catch {
      // Without HTTPS a browser has no clipboard for pages: select, and the reader copies.
      getSelection()?.selectAllChildren(/** @type {Node} */ (document.getElementById("commands")));
      button.current.textContent = "Selected: press Ctrl+C";
    }
  }
  return html`<button ref=${button} onClick=${copy}>Copy</button>`;
}

render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
