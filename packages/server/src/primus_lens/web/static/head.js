// The top of a workload's page: name, state, how far it is, what it runs, what is wrong with it.
import { html, signal, useSignal } from "./vendor/index.js";
import { choose } from "./address.js";
import { alike } from "./alike.js";
import { ask, send, Trouble } from "./api.js";
import { Ago, StateMark, When } from "./frame.js";
import { frameworkWords } from "./framework_panel.js";
import { now } from "./live.js";
import * as say from "./say.js";
import { detailPath } from "./wishes.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./api.js").Run} Run
 * @typedef {import("./api.js").Alert} Alert
 * @typedef {{silenced_until: number | null, silenced_kinds: string[], thresholds: Record<string, any>}} Wanted
 *   silenced_until: Unix ms; silenced_kinds: none for all
 * @typedef {Wanted & {in_force: Record<string, any>}} Watch */

export const SILENCES = /** @type {[number, string][]} */ ([[3600e3, "for an hour"], [8 * 3600e3, "for 8 hours"], [7 * 86400e3, "for a week"]]);

/** @type {{value: {alerts: Alert[], watch: Watch | null}}} */
export const alerts = signal({ alerts: [], watch: null });

/** @param {string} uid */
export async function refreshAlerts(uid) {
  try {
    const [open, watch] = await Promise.all([
      ask(`/alerts?${new URLSearchParams({ state: "open", workload: uid })}`), ask(`${detailPath(uid)}/watch`),
    ]);
    alerts.value = { alerts: open.alerts ?? [], watch };
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    alerts.value = { alerts: [], watch: null }; // a server without a health watch; its other troubles the pulse tells
  }
}

/** Set the watch of a workload: what is not among the changes stays. @param {string} uid @param {Partial<Wanted>} changes */
export async function setWatch(uid, changes) {
  const { silenced_until = null, silenced_kinds = [], thresholds = {} } = alerts.value.watch ?? {};
  await send("PUT", `${detailPath(uid)}/watch`, { silenced_until, silenced_kinds, thresholds, ...changes });
  await refreshAlerts(uid);
}

/** Of what kinds nothing is told, and until when; null where all is told. @param {Watch | null} watch */
export function silenceOf(watch) {
  const until = watch?.silenced_until ?? 0;
  const kinds = watch?.silenced_kinds ?? [];
  return until > now.value ? { until, words: kinds.length ? kinds.map(say.alertKind).join(", ") : "all" } : null;
}

/** @param {{known: Detail}} props */
export function Head({ known }) {
  const newest = known.runs.reduce((best, run) => (!best || run.serial > best.serial ? run : best), /** @type {Run | null} */ (null));
  const running = known.runs.find((run) => run.state === "running");
  const told = (running ?? newest)?.state ?? "unknown";
  const diverges = alerts.value.alerts.some((alert) => alert.kind === "divergence" && alert.run_id === newest?.run_id);
  const state = diverges ? "diverged" : told; // as the board says it
  const name = newest?.name ?? known.workload_uid;
  document.title = `${name} · Primus Lens`;
  return html`<section class="head">
    <p class="path"><a href="/">Fleet</a> <span aria-hidden="true">/</span> <code>${known.workload_uid}</code></p>
    <div class="title"><h1>${name}</h1><${StateMark} state=${state} /></div>
    <ul class="marks-of-head">
      ${newest?.project && html`<li><small>project</small> ${newest.project}</li>`}
      <li><small>framework</small> <${Detected} detection=${known.detection} /></li>
      ${newest && newest.last_step !== null && html`<li><small>step</small> ${say.count(Number(newest.last_step))}</li>`}
      ${known.runs.length > 1 && html`<li><small>runs</small> ${say.count(known.runs.length)}</li>`}
      ${newest?.started_at && html`<li><small>started</small> <${When} ms=${newest.started_at} /></li>`}
      ${newest?.last_seen && html`<li><small>last report</small> <${Ago} ms=${newest.last_seen} /></li>`}
    </ul>
    <${Alerts} uid=${known.workload_uid} />
  </section>`;
}

/** @param {{detection: import("./api.js").Detection | null}} props */
function Detected({ detection }) {
  const words = frameworkWords(detection);
  const sure = detection?.confidence ? ` ${Math.round(detection.confidence * 100)} % sure` : "";
  const disputed = Boolean(detection?.conflicts?.length);
  return html`<button class="link" title="The evidence, and a way to correct it" onClick=${() => choose({ tab: "framework" })}>${words || "not known"}</button>
    <span class="dim">${sure}${disputed ? ", disputed" : ""}</span>`;
}

/** @param {{uid: string}} props */
function Alerts({ uid }) {
  const trouble = useSignal("");
  const { alerts: open, watch } = alerts.value;
  const silent = silenceOf(watch);
  if (!open.length && !silent) return null;
  /** @param {number} ms from now; 0 ends the silence */
  const silence = async (ms) => {
    trouble.value = "";
    try {
      await setWatch(uid, { silenced_until: ms ? Math.round(now.value + ms) : null, silenced_kinds: [] });
    } catch (error) {
      trouble.value = error instanceof Error ? error.message : String(error);
    }
  };
  return html`<div class=${silent && !open.length ? "own-alerts silent" : "own-alerts"} role="region" aria-label="Alerts">
    <ul>${alike(open).map(({ alert, runs }) => html`<li key=${`${alert.kind} ${alert.metric} ${alert.since}`}><b>${say.alertKind(alert.kind)}</b>
      <span>${alert.text}</span>${runs > 1 && html` <b class="runs">${runs} runs</b>`} <small><${Ago} ms=${alert.since} /></small></li>`)}
      ${!open.length && html`<li class="dim">No open alerts</li>`}</ul>
    <div class="row">${silent ? html`<small>${silent.words} silent until <${When} ms=${silent.until} /></small>
        <button onClick=${() => silence(0)}>Tell again</button>`
      : html`<label class="pick"><span class="heard">Silence</span><select aria-label="Silence the alerts" value=""
          onChange=${(/** @type {any} */ event) => { void silence(Number(event.target.value)); event.target.value = ""; }}>
          <option value="">Silence…</option>${SILENCES.map(([ms, words]) => html`<option value=${ms}>${words}</option>`)}</select></label>`}
      ${trouble.value && html`<small class="odd" role="alert">${trouble.value}</small>`}</div>
  </div>`;
}
