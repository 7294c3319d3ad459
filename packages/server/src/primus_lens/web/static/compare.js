// Workloads and runs side by side: overlaid curves, groups of runs as mean and range, what differs.
import { effect, html, render, signal, useRef } from "./vendor/index.js";
import { choices, choose, chosen } from "./address.js";
import { ask } from "./api.js";
import { CompareCard } from "./compare_card.js";
import { DifferenceTable, differing, RunsTable, settingsOf, toggleHidden } from "./compare_table.js";
import { details, hurry, metricsOf, named, refresh, sidesOf, startsBy, wordOf } from "./compared.js";
import { runColour, runDashed } from "./card.js";
import { Filter, Frame, SIGNS, useShortcuts } from "./frame.js";
import { nameFilter } from "./grouping.js";
import { keepLive } from "./live.js";
import * as say from "./say.js";
import { nextX, switchLog, zoom } from "./tools.js";
import { stretchOf, xMode } from "./wishes.js";

/** @typedef {import("./compared.js").Side} Side
 * @typedef {import("./compare_card.js").Group} Group */

const EVERY_MS = 10_000; // many workloads at once: asked less often than one
const X_MODES = [["step", "Step", "as passed to wandb.log"], ["time", "Time", "local time"], ["elapsed", "Elapsed", "time since each run began"]];
const SUGGESTED = 8;
const TYPED_MS = 150;

const live = keepLive(refresh, null, EVERY_MS);
let compared = choices.value.getAll("w").join("\n");

effect(() => {
  const now = choices.value.getAll("w").join("\n");
  if (now !== compared) live.refreshNow();
  compared = now;
  hurry();
});

function Page() {
  useShortcuts({ x: nextX, l: switchLog, 0: () => zoom(null) });
  return html`<${Frame} live=${live} signs=${SIGNS} shortcuts=${[["x", "next x axis"], ["l", "linear or log"], ["0", "whole curves"], ["drag", "zoom all charts"], ["double click", "whole curves"], ["← →", "in a chart: read point by point"], ["+ −", "in a chart: zoom"]]}>
    <${Content} /><//>`;
}

function Content() {
  const asked = named();
  if (!asked.length) return html`<div class="tools"><h1>Compare</h1></div><${Nothing} />`;
  const known = details.value;
  if (!known) {
    return live.pulse.value.trouble ? null : html`<div class="skeleton charts" role="status" aria-label="Loading what is compared">
      ${[1, 2, 3, 4, 5, 6].map(() => html`<i></i>`)}</div>`;
  }
  const { sides, all } = sidesOf();
  const unknown = asked.filter(({ uid, serial }) => !known.get(uid) || (serial !== null && !known.get(uid)?.runs.some((run) => run.serial === serial)));
  const workloads = new Set(sides.map(({ uid }) => uid)).size;
  return html`<div class="tools"><h1>Compare</h1>
      <p class="summary">${say.count(workloads)} workload${workloads === 1 ? "" : "s"}, ${all > sides.length ? `the first ${say.count(sides.length)} of ${say.count(all)}` : say.count(all)} run${all === 1 ? "" : "s"}</p>
      <${Add} /></div>
    ${unknown.map((one) => html`<p class="unknown" role="alert" key=${wordOf(one)}>There is no ${one.serial === null ? "" : `run ${one.serial} of `}workload “${one.uid}”.
      <button class="quiet" onClick=${() => drop(wordOf(one))}>Leave it out</button></p>`)}
    ${sides.length > 0 && html`<${Sides} sides=${sides} />`}`;
}

/** @param {string} word */
function drop(word) {
  choose({ w: named().map(wordOf).filter((one) => one !== word) });
}

/** @param {{sides: Side[]}} props */
function Sides({ sides }) {
  const hidden = choices.value.getAll("hide");
  const shown = sides.filter(({ key }) => !hidden.includes(key));
  const groups = groupsOf(shown);
  return html`<${Legend} sides=${sides} groups=${groups} hidden=${hidden} />
    <${Tools} sides=${sides} />
    <${Charts} sides=${shown} groups=${groups} />
    <${RunsTable} sides=${coloured(sides, groups)} />
    <${DifferenceTable} sides=${coloured(sides, groups)} />`;
}

/** The runs with the colours of their groups, as the charts show them. @param {Side[]} sides @param {Group[] | null} groups */
function coloured(sides, groups) {
  const places = new Map((groups ?? []).flatMap((group) => group.sides.map(({ key }) => /** @type {[string, number]} */ ([key, group.place]))));
  return sides.map((side) => ({ ...side, place: places.get(side.key) ?? side.place }));
}

/** Runs with the same value of the chosen setting are one group. @param {Side[]} sides @returns {Group[] | null} */
function groupsOf(sides) {
  const key = chosen("group");
  if (!key) return null;
  /** @type {Map<string, Side[]>} */
  const found = new Map();
  for (const side of sides) {
    const value = key === "workload" ? side.uid : settingsOf(side).get(key) ?? "not set";
    found.set(value, [...(found.get(value) ?? []), side]);
  }
  const values = [...found].sort(([a], [b]) => Number(a) - Number(b) || a.localeCompare(b, undefined, { numeric: true }));
  return values.map(([value, some], i) => ({
    key: value, label: `${key} ${value} (${some.length} run${some.length === 1 ? "" : "s"})`, place: i + 1, sides: some,
  }));
}

/** @param {{sides: Side[], groups: Group[] | null, hidden: string[]}} props */
function Legend({ sides, groups, hidden }) {
  if (groups) {
    return html`<ul class="chips of-groups" aria-label="Groups">${groups.map((group) => html`<li key=${group.key} title=${group.sides.map(({ label }) => label).join("\n")}>
      <i class=${runDashed(group.place) ? "dashed" : ""} style=${{ color: runColour(group.place) }}></i>${group.label}</li>`)}</ul>`;
  }
  return html`<div class="chips" role="group" aria-label="Runs shown">${sides.map((side) => html`<button key=${side.key} aria-pressed=${!hidden.includes(side.key)}
      title=${`${side.uid} · run ${side.run.serial}`} onClick=${() => toggleHidden(side.key)}>
      <i class=${runDashed(side.place) ? "dashed" : ""} style=${{ color: runColour(side.place) }}></i>${side.label}</button>`)}</div>`;
}

/** @param {{sides: Side[]}} props */
function Tools({ sides }) {
  const x = xMode(choices.value);
  const log = chosen("y") === "log";
  const { broken } = nameFilter(chosen("q"));
  const keys = differing(sides).differ;
  const group = chosen("group");
  return html`<div class="tools sticky">
    <${Filter} label="Filter metrics, text or regex" value=${chosen("q")} hint=${broken ? "Not a valid expression: matched as plain text" : ""}
      onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ q: text }, { replace: typing })} />
    <div class="switch" role="group" aria-label="X axis">${X_MODES.map(([mode, word, hint]) => html`<button aria-pressed=${x === mode} title=${hint}
      onClick=${() => choose({ x: mode === "step" ? null : mode, from: null, to: null })}>${word}</button>`)}</div>
    <div class="switch" role="group" aria-label="Y axis">
      <button aria-pressed=${!log} onClick=${() => choose({ y: null })}>Linear</button>
      <button aria-pressed=${log} onClick=${() => choose({ y: "log" })}>Log</button></div>
    <label class="by"><span>Group by</span><select aria-label="Group by" value=${group} onChange=${(/** @type {any} */ event) => choose({ group: event.target.value || null })}>
      <option value="" selected=${!group}>nothing</option><option value="workload" selected=${group === "workload"}>workload</option>
      ${[...new Set([...keys, ...(group && group !== "workload" ? [group] : [])])].map((key) => html`<option key=${key} value=${key} selected=${key === group}>${key}</option>`)}</select></label>
    <label class="smooth"><span>Smooth</span><input type="range" min="0" max="0.99" step="0.01" value=${chosen("smooth", "0")} aria-label="Smoothing"
      onInput=${(/** @type {any} */ event) => choose({ smooth: event.target.value === "0" ? null : event.target.value }, { replace: true })} />
      <output>${chosen("smooth", "0")}</output></label>
    ${stretchOf(choices.value) && html`<button class="reset" onClick=${() => zoom(null)}>Whole curves</button>`}
    ${broken && html`<small class="dim">not a valid expression: matched as text</small>`}
  </div>`;
}

/** @param {{sides: Side[], groups: Group[] | null}} props */
function Charts({ sides, groups }) {
  const metrics = metricsOf();
  const { matches } = nameFilter(chosen("q"));
  const matching = metrics.filter(matches);
  if (!sides.length) return html`<div class="empty"><h2>All runs are hidden</h2><p><button onClick=${() => choose({ hide: null })}>Show all</button></p></div>`;
  if (!metrics.length) return html`<div class="empty"><h2>No metrics yet</h2><p>They appear with the first number logged.</p></div>`;
  if (!matching.length) {
    return html`<div class="empty"><h2>No metric matches “${chosen("q")}”</h2>
      <p><button onClick=${() => choose({ q: null })}>Show all ${say.count(metrics.length)}</button></p></div>`;
  }
  /** @type {import("./compare_card.js").View} */
  const view = {
    sides, groups, x: xMode(choices.value), log: chosen("y") === "log", smoothing: Number(chosen("smooth", "0")) || 0, starts: startsBy(sides),
    stretch: stretchOf(choices.value), zoom, big: chosen("big"), enlarge: (name) => choose({ big: name || null }),
  };
  return html`<div class="grid">${matching.map((name) => html`<${CompareCard} key=${name} name=${name} view=${view} />`)}</div>`;
}

/** @type {{value: import("./api.js").Workload[]}} */
const suggested = signal([]);

/** Finds a workload by what is typed, and lays it beside the others. */
function Add() {
  const waiting = useRef(0);
  /** @param {string} text */
  function suggest(text) {
    clearTimeout(waiting.current);
    waiting.current = setTimeout(async () => {
      const query = new URLSearchParams({ q: text, limit: String(SUGGESTED) });
      suggested.value = text ? (await ask(`/workloads?${query}`).catch(() => ({ workloads: [] }))).workloads : [];
    }, TYPED_MS);
  }
  /** @param {string} uid @param {any} [input] */
  function add(uid, input) {
    suggested.value = [];
    if (input) input.value = "";
    const words = named().map(wordOf);
    const word = wordOf({ uid, serial: null });
    if (!words.includes(word)) choose({ w: [...words, word] });
  }
  return html`<div class="add" onFocusOut=${(/** @type {any} */ event) => { if (!event.currentTarget.contains(event.relatedTarget)) suggested.value = []; }}>
    <input id="add" type="search" placeholder="Add a workload" aria-label="Add a workload" autocomplete="off" spellcheck="false"
      onInput=${(/** @type {any} */ event) => suggest(event.target.value.trim())}
      onKeyDown=${(/** @type {any} */ event) => {
        if (event.key === "Enter" && suggested.value.length) add(suggested.value[0].workload_uid, event.target);
        if (event.key === "Escape") suggested.value = [];
        if (event.key === "ArrowDown") event.currentTarget.parentElement.querySelector("li button")?.focus();
      }} />
    ${suggested.value.length > 0 && html`<ul class="suggested">${suggested.value.map((one) => html`<li key=${one.workload_uid}><button class="quiet"
      onClick=${() => { add(one.workload_uid); /** @type {any} */ (document.getElementById("add")).value = ""; }}>
      <b>${one.name ?? one.workload_uid}</b> <small>${one.workload_uid} · ${one.state}</small></button></li>`)}</ul>`}
  </div>`;
}

function Nothing() {
  return html`<div class="empty"><h2>Nothing is compared yet</h2>
    <p>Tick workloads on the <a href="/">fleet</a> and press Compare, or find one here:</p>
    <${Add} />
    <p class="dim">The address says what is compared: <code>/compare?w=first-job&w=second-job:2</code>, where <code>:2</code> is a run of the workload.
      Copy it to show someone the same.</p></div>`;
}

render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
