// What the watch says and said of a workload, what it is to keep quiet about, and by which thresholds it judges.
import { html, signal, useSignal } from "./vendor/index.js";
import { ask } from "./api.js";
import { Ago, When } from "./frame.js";
import { alerts, setWatch, silenceOf, SILENCES } from "./head.js";
import { now } from "./live.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Alert & {state: "open" | "silenced" | "closed", passing: boolean, since_step: number,
 *   last_seen: number, closed_at: number | null}} Told
 * @typedef {import("./head.js").Watch} Watch */

const SHOWN = 200;

/** What each kind means, and each of its thresholds: its name in the settings and what it counts.
 * @type {[string, string, [string, string][]][]} */
const KINDS = [
  ["nonfinite", "a value is NaN or infinite", [["metrics", "in which metrics beside losses"],
    ["lasting", "points of a metric that is no loss, until it is an alert"], ["clear", "numbers in a row until it is over"]]],
  ["loss_spike", "a loss jumped up and stays there", [["k", "noises above the level"], ["floor", "of the level is the noise at least"],
    ["window", "points that tell level and noise"], ["least_points", "points before anything is judged"],
    ["lasting", "points up there until it is an alert"], ["clear", "points back in a row until it is over"]]],
  ["divergence", "a loss climbs away from its best, or stays NaN", [["k", "noises above the best"], ["rise", "of the best above it, too"],
    ["lasting", "points since the best"], ["rising", "how steadily it rises, 1 is always"],
    ["nonfinite", "points that are no number count as well"], ["exclude", "losses that may climb"]]],
  ["stall", "a run that says it is running sends nothing", [["least_s", "seconds of silence at least"], ["k", "times the usual time between rows"],
    ["habit", "times the second longest pause"], ["start_s", "seconds before the eighth row"]]],
  ["throughput_drop", "steps take longer than they did", [["ratio", "times the run’s own step time"], ["k", "noises above it"],
    ["least_s", "seconds for so long"]]],
];
const LOSSES = /** @type {[string, string][]} */ ([["losses", "metrics that are losses"], ["not_losses", "and which of them are none"]]);

/** @type {{value: {told: Told[], total: number} | null}} */
const history = signal(null);

/** @param {string} uid */
export async function refreshWatch(uid) {
  const query = new URLSearchParams({ state: "all", workload: uid, limit: String(SHOWN) });
  const answer = await ask(`/alerts?${query}`);
  history.value = { told: answer.alerts, total: answer.total_count };
}

/** @param {string} uid @param {Partial<import("./head.js").Wanted>} changes */
async function change(uid, changes) {
  await setWatch(uid, changes);
  await refreshWatch(uid);
}

/** @param {{uid: string}} props */
export function WatchPanel({ uid }) {
  const { watch } = alerts.value;
  if (!history.value || !watch) return html`<div class="skeleton"><i></i><i></i></div>`;
  return html`<section class="panel" aria-label="Watch">
    <div class="columns"><div><${History} told=${history.value.told} total=${history.value.total} /></div>
      <${Quiet} uid=${uid} watch=${watch} /></div>
    <${Thresholds} uid=${uid} watch=${watch} />
  </section>`;
}

/** @param {{told: Told[], total: number}} props */
function History({ told, total }) {
  return html`<h2>Alerts <small>${told.length < total ? `the newest ${say.count(told.length)} of ${say.count(total)}` : say.count(total)}</small></h2>
    ${told.length ? html`<div class="wide"><table class="told">
      <thead><tr><th scope="col">What</th><th scope="col">Says</th><th scope="col">Since</th><th scope="col">Until</th></tr></thead>
      <tbody>${told.map((one) => html`<tr><th scope="row"><span class="alert-kind ${one.state}">${say.alertKind(one.kind)}</span></th>
        <td>${one.text}${one.run_id && html` <small>${one.run_id}</small>`}</td>
        <td><${When} ms=${one.since} /></td><td>${one.closed_at === null ? html`<b>${one.state}</b>`
          : html`<${Ago} ms=${one.last_seen} />${one.passing && html` <small>passed by itself</small>`}`}</td></tr>`)}</tbody>
    </table></div>` : html`<p class="dim">None so far: every run of this workload is watched while it reports.</p>`}`;
}

/** @param {{uid: string, watch: Watch}} props */
function Quiet({ uid, watch }) {
  const { tried, said } = useTrial();
  const silent = silenceOf(watch);
  /** @param {any} event */
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const until = Math.round(now.value + Number(fields.get("for")));
    tried(() => change(uid, { silenced_until: until, silenced_kinds: fields.getAll("kind").map(String) }), "");
  };
  return html`<form class="override" onSubmit=${submit} aria-label="Silence">
    <h2>Silence</h2>
    ${silent ? html`<p>${silent.words} silent until <${When} ms=${silent.until} /></p>
      <div class="row"><button type="button" onClick=${() => tried(() => change(uid, { silenced_until: null, silenced_kinds: [] }), "")}>Tell again</button></div>`
    : html`<p class="dim">Nothing is told while it lasts, neither here nor by webhook. Of some kinds, or of all where none is ticked.</p>
      <div class="kinds">${KINDS.map(([kind]) => html`<label class="check"><input type="checkbox" name="kind" value=${kind} /> ${say.alertKind(kind)}</label>`)}</div>
      <div class="row"><select name="for" aria-label="How long">${SILENCES.map(([ms, words]) => html`<option value=${ms}>${words}</option>`)}</select>
        <button type="submit" class="main">Silence</button></div>`}
    <${Said} said=${said} /></form>`;
}

/** @param {{uid: string, watch: Watch}} props */
function Thresholds({ uid, watch }) {
  const { tried, said } = useTrial();
  const { in_force: force, thresholds: own } = watch;
  /** @param {any} event */
  const submit = (event) => {
    event.preventDefault();
    tried(() => change(uid, { thresholds: chosenIn(event.target, force, own) }), "Saved. They hold from the next look on.");
  };
  const any = Object.keys(own).length > 0;
  return html`<form class="thresholds" onSubmit=${submit} aria-label="Thresholds"><h2>Thresholds ${any && html`<small>some are set for this workload</small>`}</h2>
    <p class="dim">The server’s, until they are set for this workload. What others would have said of the history:${" "}
      <code>primus-lens watch --replay ${uid} --set loss_spike.k=6</code></p>
    <div class="groups" key=${JSON.stringify(force)}>${KINDS.map(([kind, meaning, fields]) => html`<fieldset key=${kind}>
        <legend>${say.alertKind(kind)}</legend><p class="dim">${meaning}</p>
        <label class="check"><input type="checkbox" name=${`${kind}.enabled`} defaultChecked=${force[kind].enabled} /> look for it</label>
        ${fields.map(([name, words]) => html`<${Field} key=${name} path=${`${kind}.${name}`} value=${force[kind][name]} words=${words} own=${name in (own[kind] ?? {})} />`)}
      </fieldset>`)}
      <fieldset><legend>losses</legend><p class="dim">names, * for any letters</p>
        ${LOSSES.map(([name, words]) => html`<${Field} key=${name} path=${name} value=${force[name]} words=${words} own=${name in own} />`)}</fieldset></div>
    <div class="row"><button type="submit" class="main">Save</button>
      ${any && html`<button type="button" onClick=${() => tried(() => change(uid, { thresholds: {} }), "The server’s hold again.")}>The server’s again</button>`}
      <${Said} said=${said} /></div></form>`;
}

/** @param {{path: string, value: number | string[], words: string, own: boolean}} props */
function Field({ path, value, words, own }) {
  const list = Array.isArray(value);
  return html`<label class=${`field-of ${list ? "list" : ""} ${own ? "own" : ""}`} title=${`watch.${path}${own ? ", set for this workload" : ""}`}>
    <input name=${path} defaultValue=${list ? value.join(", ") : String(value)} inputmode=${list ? "text" : "decimal"} autocomplete="off" spellcheck="false" />
    <span>${words}</span></label>`;
}

/** The thresholds as a person wants them: those set before, and those that now differ from what holds.
 * @param {HTMLFormElement} form @param {Record<string, any>} force @param {Record<string, any>} own */
function chosenIn(form, force, own) {
  const wanted = structuredClone(own);
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input[name]"))) {
    const [group, name] = input.name.split(".");
    const holds = name ? force[group][name] : force[group];
    const value = meant(input, holds);
    if (JSON.stringify(value) === JSON.stringify(holds)) continue;
    if (name) wanted[group] = { ...wanted[group], [name]: value };
    else wanted[group] = value;
  }
  return wanted;
}

/** What was typed; what is no number goes to the server as it is, which says so in words.
 * @param {HTMLInputElement} input @param {unknown} holds */
function meant(input, holds) {
  if (typeof holds === "boolean") return input.checked;
  const text = input.value.trim();
  if (Array.isArray(holds)) return text.split(",").map((word) => word.trim()).filter(Boolean);
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** Tries what a button is for, and keeps what to say of it. */
function useTrial() {
  const said = useSignal({ bad: false, words: "" });
  /** @param {() => Promise<unknown>} work @param {string} words */
  const tried = async (work, words) => {
    said.value = { bad: false, words: "" };
    try {
      await work();
      said.value = { bad: false, words };
    } catch (error) {
      said.value = { bad: true, words: error instanceof Error ? error.message : String(error) };
    }
  };
  return { tried, said };
}

/** @param {{said: {value: {bad: boolean, words: string}}}} props */
function Said({ said }) {
  const { bad, words } = said.value;
  return words && html`<p class=${bad ? "odd" : "good"} role=${bad ? "alert" : "status"}>${words}</p>`;
}
