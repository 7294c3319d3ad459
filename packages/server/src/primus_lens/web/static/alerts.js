// The strip of open alerts on top of the fleet: what is wrong now, where, since when.
import { html, signal } from "./vendor/index.js";
import { choose, chosen, workloadAddress } from "./address.js";
import { ask, Trouble } from "./api.js";
import { Ago } from "./frame.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Alert & {workload_uid: string, name?: string | null}} OpenAlert */

const SHOWN = 3;

const WORST_FIRST = ["divergence", "nonfinite", "loss_spike", "throughput_drop", "stall"];

/** @type {{value: OpenAlert[]}} */
const open = signal([]);

export async function refreshAlerts() {
  try {
    const told = /** @type {OpenAlert[]} */ ((await ask("/alerts?state=open")).alerts ?? []);
    open.value = [...told].sort((a, b) => WORST_FIRST.indexOf(a.kind) - WORST_FIRST.indexOf(b.kind) || b.since - a.since);
  } catch (error) {
    if (!(error instanceof Trouble) || error.status !== 404) throw error;
    open.value = []; // a server without a health watch
  }
}

export function AlertStrip() {
  const all = open.value;
  if (!all.length) return null;
  const whole = chosen("alerts") === "all";
  const shown = whole ? all : all.slice(0, SHOWN);
  return html`<section class="alerts" aria-label="Open alerts">
    <h2>${say.count(all.length)} open alert${all.length === 1 ? "" : "s"}</h2>
    <ul>${shown.map((alert) => html`<li key=${`${alert.workload_uid} ${alert.kind} ${alert.run_id} ${alert.metric}`}>
      <b class="kind ${alert.kind}">${say.alertKind(alert.kind)}</b>
      <a href=${workloadAddress(alert.workload_uid)}>${alert.name ?? alert.workload_uid}</a>
      <span title=${alert.text}>${alert.text}</span>
      <small><${Ago} ms=${alert.since} /></small></li>`)}</ul>
    ${all.length > SHOWN && html`<button class="quiet" aria-expanded=${whole}
      onClick=${() => choose({ alerts: whole ? null : "all" })}>${whole ? "Show fewer" : `Show all ${say.count(all.length)}`}</button>`}
  </section>`;
}
