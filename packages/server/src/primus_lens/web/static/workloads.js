// The fleet board: who is training, how far they are, who is in trouble.
import { html, render, signal, useEffect, useRef } from "./vendor/index.js";
import { AlertStrip, refreshAlerts } from "./alerts.js";
import { choices, choose, chosen, compareAddress } from "./address.js";
import { Trouble } from "./api.js";
import { Board, isHeld, moveTo, tickHere } from "./board.js";
import { HowToBegin } from "./begin.js";
import { Facets, SortChoice } from "./facets.js";
import { fleet, layOver, refresh, wish } from "./fleet.js";
import { Filter, Frame, useShortcuts } from "./frame.js";
import { keepLive, now } from "./live.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Workload} Workload */

const TYPED_MS = 150; // asked once the reader pauses, not at every letter
const GATHER_MS = 2000; // many jobs that change at once cause one question
const NEW_MS = 60_000;

/** What the server said against the filter itself, such as a broken expression. */
const refused = signal("");

const live = keepLive(async () => {
  try {
    await Promise.all([refresh(isHeld()), refreshAlerts()]);
    refused.value = "";
  } catch (error) {
    if (!(error instanceof Trouble) || error.status < 400 || error.status > 422 || error.status === 401) throw error;
    refused.value = error.message;
  }
}, { path: () => "/fleet/live", on: { workloads: received } });

let asking = 0;

/** @param {{workloads: Workload[], removed?: string[]}} news */
function received({ workloads, removed = [] }) {
  const missed = layOver(workloads);
  // A running job outside the fetched rows changes nothing here; a new one, or one in trouble, may.
  const matters = missed.some((row) => row.state !== "running" || now.value - row.first_seen < NEW_MS);
  if ((matters || removed.length) && !asking) {
    asking = setTimeout(() => {
      asking = 0;
      live.refreshNow();
    }, GATHER_MS);
  }
}

function Page() {
  const wanted = wish();
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const soon = setTimeout(live.refreshNow, TYPED_MS);
    return () => clearTimeout(soon);
  }, [wanted]);
  useShortcuts({
    ArrowDown: () => moveTo(1), ArrowUp: () => moveTo(-1), j: () => moveTo(1), k: () => moveTo(-1), x: tickHere, c: compare,
  });
  return html`<${Frame} live=${live} shortcuts=${[["↓ ↑", "next, previous workload"], ["Enter", "open it"], ["x", "tick it to compare"], ["c", "compare what is ticked"]]}>
    <${AlertStrip} />
    <div class="tools">
      <h1>Fleet</h1>
      <${Summary} />
      <${SortChoice} />
      <${Search} />
    </div>
    <${Facets} />
    <${Content} />
    <${Ticked} />
  <//>`;
}

/** Text by default; with the switch, a regular expression, which the server applies. */
function Search() {
  const regex = chosen("regex") !== "" || chosen("mode") === "regex";
  const text = chosen("regex") || chosen("q");
  /** @param {string} typed @param {boolean} typing */
  function change(typed, typing) {
    choose(regex ? { regex: typed, mode: "regex", q: null } : { q: typed, regex: null, mode: null }, { replace: typing });
  }
  return html`<div class="search">
    <${Filter} label=${regex ? "Filter by regular expression" : "Filter by name, project, pod, framework"} value=${text}
      invalid=${refused.value !== ""} onChange=${change} onDown=${() => moveTo(1)} />
    <button class="regex" aria-pressed=${regex} title="Regular expression" aria-label="Regular expression"
      onClick=${() => choose(regex ? { q: text, regex: null, mode: null } : { regex: text, mode: "regex", q: null })}>.*</button>
    ${refused.value && html`<p class="refused" role="alert">${refused.value}</p>`}
  </div>`;
}

function Summary() {
  const known = fleet.value;
  if (!known) return html`<p class="summary"></p>`;
  const words = known.total === known.everything ? `${say.count(known.total)} workload${known.total === 1 ? "" : "s"}`
    : `${say.count(known.total)} of ${say.count(known.everything)} workloads`;
  return html`<p class="summary" aria-live="polite">${words}</p>`;
}

function Content() {
  const known = fleet.value;
  if (!known) return live.pulse.value.trouble || refused.value ? null : html`<${Skeleton} />`;
  if (known.total > 0) return html`<${Board} />`;
  return isFiltered() ? html`<${NothingMatches} />` : html`<${HowToBegin} />`;
}

function isFiltered() {
  return ["q", "regex", "state", "framework", "namespace"].some((name) => chosen(name) !== "");
}

function Skeleton() {
  return html`<div class="skeleton rows" role="status" aria-label="Loading workloads">
    ${Array.from({ length: 12 }, () => html`<i></i>`)}</div>`;
}

function NothingMatches() {
  const text = chosen("regex") || chosen("q");
  return html`<div class="empty"><h2>No workload matches${text && html` “${text}”`}</h2>
    <p>${say.count(fleet.value?.everything ?? 0)} others do not match what is chosen above.</p>
    <p><button onClick=${() => choose({ q: null, regex: null, mode: null, state: null, framework: null, namespace: null })}>Show all</button></p></div>`;
}

function compare() {
  const ticked = choices.value.getAll("tick");
  if (ticked.length) location.assign(compareAddress(ticked));
}

/** What is ticked, and what may be done with it. */
function Ticked() {
  const ticked = choices.value.getAll("tick");
  if (!ticked.length) return null;
  return html`<div class="ticked" role="region" aria-label="Ticked workloads">
    <span>${ticked.length} ticked</span>
    <a class="button main" href=${compareAddress(ticked)}>Compare</a>
    <button onClick=${() => choose({ tick: null })}>Clear</button></div>`;
}

render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
