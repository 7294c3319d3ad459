// One workload: what it is, how its runs go, every metric as a chart.
import { effect, html, render, signal } from "./vendor/index.js";
import { choices, choose, chosen } from "./address.js";
import { ask } from "./api.js";
import { Card, runColour, runDashed } from "./card.js";
import { curvesOf } from "./curves.js";
import { Facts } from "./facts.js";
import { Ago, Filter, Frame, StateMark, useShortcuts } from "./frame.js";
import { grouped, nameFilter } from "./lines.js";
import { keepLive } from "./live.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./api.js").Run} Run
 * @typedef {import("./lines.js").XMode} XMode */

const X_MODES = /** @type {[XMode, string, string][]} */ ([
  ["step", "Step", "as passed to wandb.log"],
  ["time", "Time", "local time"],
  ["elapsed", "Elapsed", "time since each run began"],
]);

const POINTS = 1000; // a chart in a column of three is about 400 pixels wide
const POINTS_ENLARGED = 4000; // about 1,300 pixels

const uid = readUid();
/** @type {{value: Detail | null}} */
const detail = signal(null);
const curves = curvesOf(uid, wanted);

const live = keepLive(async () => {
  detail.value = await ask(`/workloads/${encodeURIComponent(uid)}`);
  await curves.refresh();
});

effect(() => {
  wanted();
  curves.hurry();
});

function readUid() {
  const raw = location.pathname.slice("/workloads/".length);
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

/** @returns {XMode} */
function xMode() {
  const x = chosen("x", "step");
  return x === "time" || x === "elapsed" ? x : "step";
}

/** The zoomed part of the x axis, in its own unit: steps, Unix ms, seconds. */
function stretch() {
  const lo = Number.parseFloat(chosen("from"));
  const hi = Number.parseFloat(chosen("to"));
  return hi > lo ? { lo, hi } : null;
}

/** @returns {Map<number, number>} */
function starts() {
  const known = (detail.value?.runs ?? []).filter((run) => run.started_at !== null);
  return new Map(known.map((run) => [run.serial, Number(run.started_at)]));
}

/** What the server is asked for. It knows no elapsed time, so there a stretch covers all runs'.
 * @returns {import("./curves.js").Wanted} */
function wanted() {
  const x = xMode();
  let part = stretch();
  if (part && x === "elapsed") {
    const begun = [...starts().values()];
    part = begun.length
      ? { lo: Math.min(...begun) + part.lo * 1000, hi: Math.max(...begun) + part.hi * 1000 }
      : null;
  }
  const asked = x === "step" ? "step" : "time";
  const points = chosen("big") ? POINTS_ENLARGED : POINTS;
  return { x: asked, stretch: part, points, key: JSON.stringify([asked, part, points]) };
}

/** @param {{lo: number, hi: number} | null} part */
function zoom(part) {
  if (!part && !stretch()) return;
  choose({ from: part ? short(part.lo, part) : null, to: part ? short(part.hi, part) : null });
}

/** As many digits as the stretch is wide: addresses are read by people too.
 * @param {number} value @param {{lo: number, hi: number}} part */
function short(value, part) {
  const digits = Math.max(0, 3 - Math.floor(Math.log10(part.hi - part.lo)));
  return String(Number(value.toFixed(Math.min(digits, 9))));
}

/** @param {XMode} x */
function chooseX(x) {
  choose({ x: x === "step" ? null : x, from: null, to: null });
}

function switchLog() {
  choose({ y: chosen("y") === "log" ? null : "log" });
}

function nextX() {
  const modes = X_MODES.map(([mode]) => mode);
  chooseX(modes[(modes.indexOf(xMode()) + 1) % modes.length]);
}

/** Add a word to a list in the address, or take it out. @param {string} name @param {string} word */
function toggle(name, word) {
  const all = choices.value.getAll(name);
  choose({ [name]: all.includes(word) ? all.filter((one) => one !== word) : [...all, word] });
}

/** @param {number} serial */
function runName(serial) {
  const run = detail.value?.runs.find((one) => one.serial === serial);
  const several = (detail.value?.runs.length ?? 0) > 1;
  const name = run?.name ?? run?.run_id ?? "";
  return several ? `${serial} · ${name}` : name;
}

function Page() {
  useShortcuts({ x: nextX, l: switchLog, 0: () => zoom(null) });
  const known = detail.value;
  const trouble = live.pulse.value.trouble;
  return html`<${Frame} live=${live} shortcuts=${[["x", "next x axis"], ["l", "linear or log"], ["0", "whole curves"], ["drag", "zoom all charts"], ["double click", "whole curves"]]}>
    ${known ? html`<${Head} known=${known} /><${Tools} /><${Charts} known=${known} />` : null}
    ${!known && trouble?.status === 404 && html`<div class="empty"><h2>There is no workload “${uid}”</h2>
      <p>It has not reported, or its name is another. This page is watching for it. <a href="/">All workloads</a></p></div>`}
    ${!known && !trouble && html`<div class="skeleton charts" role="status" aria-label="Loading the workload">
      ${[1, 2, 3, 4, 5, 6].map(() => html`<i></i>`)}</div>`}
  <//>`;
}

/** @param {{known: Detail}} props */
function Head({ known }) {
  const newest = known.runs.reduce((best, run) => (!best || run.serial > best.serial ? run : best), /** @type {Run | null} */ (null));
  const running = known.runs.find((run) => run.state === "running");
  const name = newest?.name ?? known.workload_uid;
  document.title = `${name} · Primus Lens`;
  return html`<section class="head">
    <p class="path"><a href="/">Workloads</a> <span aria-hidden="true">/</span> <code>${known.workload_uid}</code></p>
    <div class="title"><h1>${name}</h1><${StateMark} state=${(running ?? newest)?.state ?? "unknown"} /></div>
    <ul class="marks-of-head">
      ${newest?.project && html`<li><small>project</small> ${newest.project}</li>`}
      <li><small>framework</small> <${Detected} detection=${known.detection} /></li>
      ${newest?.last_step !== null && newest && html`<li><small>step</small> ${say.count(Number(newest.last_step))}</li>`}
      ${newest?.last_seen && html`<li><small>last report</small> <${Ago} ms=${newest.last_seen} /></li>`}
    </ul>
    ${known.runs.length > 1 && html`<${RunChips} runs=${known.runs} />`}
    <${Facts} known=${known} />
  </section>`;
}

/** @param {{detection: import("./api.js").Detection | null}} props */
function Detected({ detection }) {
  const names = [detection?.wrapper_framework, detection?.base_framework].filter(Boolean);
  const shown = [...new Set(names.length ? names : [detection?.framework].filter(Boolean))];
  if (!detection || !shown.length) return html`<span class="dim">not known</span>`;
  const how = [detection.confidence === null ? "" : `${Math.round(detection.confidence * 100)} % sure`, detection.method ? `by ${detection.method.replaceAll("_", " ")}` : ""];
  return html`${shown.join(" · ")} <span class="dim">${how.filter(Boolean).join(", ")}</span>`;
}

/** The legend: a press hides a run or shows it again.
 * @param {{runs: Run[]}} props */
function RunChips({ runs }) {
  const hidden = choices.value.getAll("hide");
  return html`<div class="chips" role="group" aria-label="Runs shown">
    ${runs.map((run) => {
      const off = hidden.includes(String(run.serial));
      return html`<button key=${run.serial} aria-pressed=${!off} title=${`${run.run_id} · ${run.state}${off ? " · hidden" : ""}`}
        onClick=${() => toggle("hide", String(run.serial))}>
        <i class=${runDashed(run.serial) ? "dashed" : ""} style=${{ color: runColour(run.serial) }}></i>${runName(run.serial)}</button>`;
    })}
  </div>`;
}

function Tools() {
  const x = xMode();
  const log = chosen("y") === "log";
  const broken = nameFilter(chosen("q")).broken;
  return html`<div class="tools sticky">
    <${Filter} label="Filter metrics, text or regex" value=${chosen("q")}
      hint=${broken ? "Not a valid expression: matched as plain text" : ""}
      onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ q: text }, { replace: typing })} />
    <div class="switch" role="group" aria-label="X axis">
      ${X_MODES.map(([mode, word, hint]) => html`<button aria-pressed=${x === mode} title=${hint}
        onClick=${() => chooseX(mode)}>${word}</button>`)}
    </div>
    <div class="switch" role="group" aria-label="Y axis">
      <button aria-pressed=${!log} onClick=${() => choose({ y: null })}>Linear</button>
      <button aria-pressed=${log} onClick=${() => choose({ y: "log" })}>Log</button>
    </div>
    ${stretch() && html`<button class="reset" onClick=${() => zoom(null)}>Whole curves</button>`}
    ${broken && html`<small class="dim">not a valid expression: matched as text</small>`}
  </div>`;
}

/** @param {{known: Detail}} props */
function Charts({ known }) {
  const filter = nameFilter(chosen("q"));
  const matching = known.metrics.filter((metric) => filter.matches(metric.name));
  if (!known.metrics.length) return html`<div class="empty"><h2>No metrics yet</h2><p>They appear with the first number logged.</p></div>`;
  if (!matching.length) {
    return html`<div class="empty"><h2>No metric matches “${chosen("q")}”</h2>
      <p><button onClick=${() => choose({ q: null })}>Show all ${known.metrics.length}</button></p></div>`;
  }
  /** @type {import("./card.js").View} */
  const view = {
    x: xMode(), log: chosen("y") === "log", stretch: stretch(), zoom, starts: starts(), names: runName, curves,
    hidden: new Set(choices.value.getAll("hide").map(Number)),
    big: chosen("big"), enlarge: (name) => choose({ big: name || null }),
  };
  const closed = choices.value.getAll("closed");
  return grouped(matching).map(([prefix, metrics]) => {
    const open = !closed.includes(prefix || "-");
    return html`<section class="group" key=${prefix} aria-label=${prefix || "without prefix"}>
      <h2><button aria-expanded=${open} onClick=${() => toggle("closed", prefix || "-")}>
        <span aria-hidden="true">${open ? "▾" : "▸"}</span>${prefix || "Metrics"}<small>${metrics.length}</small></button></h2>
      ${open && html`<div class="grid">${metrics.map((metric) => html`<${Card} key=${metric.name} metric=${metric} view=${view} />`)}</div>`}
    </section>`;
  });
}

render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
