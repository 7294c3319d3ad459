// One workload: what it is, how its runs go, every metric as a chart.
import { computed, effect, html, render, signal } from "./vendor/index.js";
import { choices, choose, chosen } from "./address.js";
import { ask, remember } from "./api.js";
import { Card, FullScreen } from "./card.js";
import { curvesOf } from "./curves.js";
import { early } from "./early.js";
import { Frame, SIGNS, useShortcuts } from "./frame.js";
import { FrameworkPanel } from "./framework_panel.js";
import { arranged, nameFilter } from "./grouping.js";
import { Head, refreshAlerts } from "./head.js";
import { IntakePanel, refreshIntake } from "./intake_panel.js";
import { keepLive, now } from "./live.js";
import { rankMetrics, Ranks, refreshRanks } from "./ranks.js";
import { SettingsPanel } from "./settings_panel.js";
import * as say from "./say.js";
import { Legend, nextX, switchLog, Tools, zoom } from "./tools.js";
import { refreshWatch, WatchPanel } from "./watch_panel.js";
import { detailPath, keepPins, pinsOf, startsOf, stretchOf, uidOf, wishOf, xMode } from "./wishes.js";

/** @typedef {import("./api.js").Detail} Detail */

const TABS = [["", "Charts"], ["ranks", "Ranks"], ["runs", "Runs & config"], ["framework", "Framework"],
  ["watch", "Watch"], ["intake", "Intake"]];
const FOLLOWED = 48; // metrics in the address of the live stream: servers cut request lines at 8 KiB
const FOLLOW_MS = 800; // a reader who scrolls past a chart does not follow it
const NOTE_MS = 1000; // nobody reads a step that changes faster
const ALERTS_MS = 5000; // the watch looks this often
const SLOW_NEWS_MS = 3000; // ranks are compared over the whole run; a point more can wait

const uid = uidOf(location.pathname);
/** @type {{value: Detail | null}} */
const detail = signal(null);
let opened = early.detail.then((answer) => answer && remember(answer));
const curves = curvesOf(uid, () => wishOf(choices.value, detail.value?.runs ?? []), follow);
/** @type {string[]} */
let followed = [];
let following = 0;
let slowNews = 0;
/** @type {Map<number, number>} */
const steps = new Map();
let noting = 0;
let alertsAskedAt = 0;

const live = keepLive(refresh, {
  path: () => `${detailPath(uid)}/live?${new URLSearchParams(followed.map((name) => ["metric", name]))}`,
  on: {
    points: (/** @type {{series: import("./curves.js").Delta[]}} */ { series }) => {
      if (trouble.value) live.refreshNow(); // what is known may be of a workload deleted since
      if (chosen("tab") === "ranks") newsOfRanks();
      else curves.append(series);
      note(series);
    },
    workload: () => (trouble.value ? live.refreshNow() : void refreshDetail().catch(() => undefined)),
    reset: () => live.refreshNow(),
  },
});

const trouble = computed(() => live.pulse.value.trouble); // the pulse changes with every event, this seldom

effect(() => {
  wishOf(choices.value, detail.value?.runs ?? []);
  curves.hurry();
});

async function refresh() {
  await refreshDetail();
  const tab = chosen("tab");
  if (tab === "intake") await refreshIntake(uid);
  else if (tab === "ranks" && detail.value) await refreshRanks(detail.value);
  else if (!tab) await curves.refresh();
}

async function refreshDetail() {
  const first = await opened;
  opened = Promise.resolve(null);
  const known = first ?? await ask(detailPath(uid));
  if (!followed.length) followed = orderOf(known).slice(0, FOLLOWED); // before the stream opens, so that it need not open twice
  detail.value = known;
  void lookAtAlerts();
}

async function lookAtAlerts() {
  await refreshAlerts(uid);
  if (chosen("tab") === "watch") await refreshWatch(uid).catch(() => undefined); // the pulse says it when the server is away
}

/** The metrics as the page shows them. @param {Detail} known */
function orderOf({ metrics }) {
  return arranged(metrics, pinsOf(choices.value)).flatMap((group) => group.metrics.map(({ name }) => name));
}

/** Have news of these metrics sent; of a few more than are looked at, so that scrolling changes little.
 * @param {string[]} metrics */
function follow(metrics) {
  const wanted = chosen("tab") === "ranks" && detail.value ? rankMetrics(detail.value) : metrics;
  clearTimeout(following);
  if (wanted.every((name) => followed.includes(name))) return;
  following = setTimeout(() => {
    const kept = followed.filter((name) => !wanted.includes(name));
    followed = [...wanted, ...kept].slice(0, Math.max(FOLLOWED, wanted.length));
    live.reopen();
  }, FOLLOW_MS);
}

/** How far the runs are, told by their points. @param {import("./curves.js").Delta[]} series */
function note(series) {
  for (const { serial, step } of series) steps.set(serial, Math.max(steps.get(serial) ?? -1, step.at(-1) ?? -1));
  noting ||= setTimeout(() => {
    noting = 0;
    const known = detail.value;
    if (!known) return;
    detail.value = { ...known, runs: known.runs.map((run) => (steps.has(run.serial)
      ? { ...run, last_step: Math.max(run.last_step ?? -1, steps.get(run.serial) ?? -1), last_seen: now.value } : run)) };
    steps.clear();
    if (now.value - alertsAskedAt < ALERTS_MS) return;
    alertsAskedAt = now.value;
    void lookAtAlerts();
  }, NOTE_MS);
}

function newsOfRanks() {
  slowNews ||= setTimeout(() => {
    slowNews = 0;
    if (detail.value) refreshRanks(detail.value).catch(() => undefined);
  }, SLOW_NEWS_MS);
}

/** Add a word to a list in the address, or take it out. @param {string} name @param {string} word */
function toggle(name, word) {
  const all = choices.value.getAll(name);
  choose({ [name]: all.includes(word) ? all.filter((one) => one !== word) : [...all, word] });
}

/** @param {string} name */
function pin(name) {
  const pins = pinsOf(choices.value);
  const next = pins.includes(name) ? pins.filter((one) => one !== name) : [...pins, name];
  keepPins(next);
  choose({ pin: next }, { replace: true });
}

/** @param {number} serial */
function runName(serial) {
  const runs = detail.value?.runs ?? [];
  const run = runs.find((one) => one.serial === serial);
  const name = run?.name ?? run?.run_id ?? "";
  const rank = run?.rank === null || run?.rank === undefined ? "" : ` · rank ${run.rank}`;
  return runs.length > 1 ? `${serial} · ${name}${rank}` : name;
}

/** @param {number} by */
function turnTab(by) {
  const all = TABS.map(([key]) => key);
  openTab(all[(all.indexOf(chosen("tab")) + by + all.length) % all.length]);
}

/** @param {string} tab */
function openTab(tab) {
  choose({ tab: tab || null, find: null });
  live.refreshNow();
}

function Page() {
  useShortcuts({ x: nextX, l: switchLog, 0: () => zoom(null), "[": () => turnTab(-1), "]": () => turnTab(1) });
  const known = detail.value;
  return html`<${Frame} live=${live} signs=${SIGNS} shortcuts=${[["x", "next x axis"], ["l", "linear or log"], ["0", "whole curves"], ["[ ]", "previous, next tab"],
    ["drag", "zoom all charts"], ["double click", "whole curves"], ["← →", "in a chart: read point by point"], ["+ −", "in a chart: zoom"]]}>
    ${known ? html`<${Head} known=${known} /><${Tabs} known=${known} /><${Content} known=${known} />` : null}
    ${!known && trouble.value?.status === 404 && html`<div class="empty"><h2>There is no workload “${uid}”</h2>
      <p>It has not reported, or its name is another. This page is watching for it. <a href="/">All workloads</a></p></div>`}
    ${!known && !trouble.value && html`<div class="skeleton charts" role="status" aria-label="Loading the workload">
      ${[1, 2, 3, 4, 5, 6].map(() => html`<i></i>`)}</div>`}
  <//>`;
}

/** @param {{known: Detail}} props */
function Tabs({ known }) {
  const open = chosen("tab");
  const counts = /** @type {Record<string, number>} */ ({ "": known.metrics.length, runs: known.runs.length });
  return html`<nav class="tabs" aria-label="Parts of this workload">${TABS.map(([key, word]) => {
    const query = new URLSearchParams(choices.value);
    query.delete("tab");
    if (key) query.set("tab", key);
    return html`<a key=${key} href=${`?${query}`} aria-current=${open === key ? "page" : null}
      onClick=${(/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        openTab(key);
      }}>${word}${counts[key] ? html`<small>${say.count(counts[key])}</small>` : ""}</a>`;
  })}</nav>`;
}

/** @param {{known: Detail}} props */
function Content({ known }) {
  switch (chosen("tab")) {
    case "ranks": return html`<${Ranks} known=${known} names=${runName} />`;
    case "runs": return html`<${SettingsPanel} runs=${known.runs} />`;
    case "framework": return html`<${FrameworkPanel} uid=${uid} detection=${known.detection} refresh=${live.refreshNow} />`;
    case "watch": return html`<${WatchPanel} uid=${uid} />`;
    case "intake": return html`<${IntakePanel} />`;
    default: return html`<${Tools} known=${known} />
      ${known.runs.length > 1 && html`<${Legend} runs=${known.runs} names=${runName} />`}<${Charts} known=${known} />`;
  }
}

/** @param {Detail} known @returns {import("./card.js").View} */
function viewOf(known) {
  const query = choices.value;
  const smoothing = Number.parseFloat(query.get("s") ?? "");
  return {
    uid, x: xMode(query), xName: query.get("xm") ?? "", log: query.get("y") === "log",
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
    stretch: stretchOf(query), zoom, wish: wishOf(query, known.runs),
    hidden: new Set(query.getAll("hide").map(Number)), ghosts: query.get("ghosts") !== "off",
    starts: startsOf(known.runs), names: runName,
    enlarge: (name) => choose({ big: name || null }), pins: pinsOf(query), pin, curves,
  };
}

/** @param {{known: Detail}} props */
function Charts({ known }) {
  if (!known.metrics.length) return html`<div class="empty"><h2>No metrics yet</h2><p>They appear with the first number logged.</p></div>`;
  const filter = nameFilter(chosen("q"));
  const matching = known.metrics.filter((metric) => filter.matches(metric.name));
  const view = viewOf(known);
  const big = known.metrics.find((metric) => metric.name === chosen("big"));
  if (!matching.length) {
    return html`<div class="empty"><h2>No metric matches “${chosen("q")}”</h2>
      <p><button onClick=${() => choose({ q: null })}>Show all ${known.metrics.length}</button></p></div>`;
  }
  const closed = choices.value.getAll("closed");
  return html`${arranged(matching, view.pins).map(({ key, title, metrics }) => {
    const open = !closed.includes(key);
    return html`<section class="group" key=${key} aria-label=${title}>
      <h2><button aria-expanded=${open} onClick=${() => toggle("closed", key)}>
        <span aria-hidden="true">${open ? "▾" : "▸"}</span>${title}<small>${metrics.length}</small></button></h2>
      ${open && html`<div class="grid">${metrics.map((metric) => html`<${Card} key=${metric.name} metric=${metric} view=${view} />`)}</div>`}
    </section>`;
  })}${big && html`<${FullScreen} key=${big.name} metric=${big} view=${view} />`}`;
}

render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
