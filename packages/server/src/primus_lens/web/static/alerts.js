// The strip of open alerts on top of the fleet: what is wrong now, where, since when.
import { html, signal } from "./vendor/index.js";
import { choose, chosen, workloadAddress } from "./address.js";
import { alike } from "./alike.js";
import { ask, Trouble } from "./api.js";
import { nameOf } from "./fleet.js";
import { Ago } from "./frame.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Alert & {workload_uid: string}} OpenAlert */

const SHOWN = 3;

/** @type {{value: OpenAlert[]}} */
const open = signal([]);

export async function refreshAlerts() {
  try {
    open.value = (await ask("/alerts?state=open")).alerts ?? [];
  } catch (error) {
    if (!(error instanceof Trouble) || error.status !== 404) throw error;
    open.value = []; // a server without a health watch
  }
}

export function AlertStrip() {
  const all = alike(open.value);
  if (!all.length) return null;
  const whole = chosen("alerts") === "all";
  const shown = whole ? all : all.slice(0, SHOWN);
  return html`<section class="alerts" aria-label="Open alerts">
    <h2>${say.count(all.length)} open alert${all.length === 1 ? "" : "s"}</h2>
    <ul>${shown.map(({ alert, runs }) => html`<li key=${`${alert.workload_uid} ${alert.kind} ${alert.text}`}>
      <b class="kind ${alert.kind}">${say.alertKind(alert.kind)}</b>
      <a href=${workloadAddress(alert.workload_uid)} title=${alert.workload_uid}>${nameOf(alert.workload_uid) ?? alert.workload_uid}</a>
      <span title=${alert.text}>${runs > 1 && html`<b>${say.count(runs)} runs:</b> `}${alert.text}</span>
      <small><${Ago} ms=${alert.since} /></small></li>`)}</ul>
    ${all.length > SHOWN && html`<button class="quiet" aria-expanded=${whole}
      onClick=${() => choose({ alerts: whole ? null : "all" })}>${whole ? "Show fewer" : `Show all ${say.count(all.length)}`}</button>`}
  </section>`;
}
