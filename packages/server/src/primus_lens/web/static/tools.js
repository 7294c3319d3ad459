// How the charts of a workload are drawn: the bar of choices above them, and the legend of runs.
import { html } from "./vendor/index.js";
import { choices, choose, chosen } from "./address.js";
import { runColour, runDashed } from "./card.js";
import { Filter } from "./frame.js";
import { nameFilter } from "./grouping.js";
import * as say from "./say.js";
import { stretchOf, xMode } from "./wishes.js";

/** @typedef {import("./api.js").Detail} Detail
 * @typedef {import("./api.js").Run} Run
 * @typedef {import("./lines.js").XMode} XMode */

const X_MODES = /** @type {[XMode, string, string][]} */ ([
  ["step", "Step", "as passed to wandb.log"],
  ["time", "Time", "local time"],
  ["elapsed", "Elapsed", "time since each run began"],
]);
const RUNS_NAMED = 40; // chips of the legend; more are found by the tab of runs

/** @param {{lo: number, hi: number} | null} part */
export function zoom(part) {
  if (!part && !stretchOf(choices.value)) return;
  choose({ from: part ? short(part.lo, part) : null, to: part ? short(part.hi, part) : null });
}

/** As many digits as the stretch is wide: addresses are read by people too.
 * @param {number} value @param {{lo: number, hi: number}} part */
function short(value, part) {
  const digits = Math.max(0, 3 - Math.floor(Math.log10(part.hi - part.lo)));
  return String(Number(value.toFixed(Math.min(digits, 12))));
}

/** @param {XMode} x @param {string} [metric] */
function chooseX(x, metric) {
  choose({ x: x === "step" || x === "metric" ? null : x, xm: metric ?? null, from: null, to: null });
}

export function switchLog() {
  choose({ y: chosen("y") === "log" ? null : "log" });
}

export function nextX() {
  const modes = X_MODES.map(([mode]) => mode);
  chooseX(modes[(modes.indexOf(xMode(choices.value)) + 1) % modes.length]);
}

/** @param {{known: Detail}} props */
export function Tools({ known }) {
  const x = xMode(choices.value);
  const log = chosen("y") === "log";
  const broken = nameFilter(chosen("q")).broken;
  return html`<div class="tools sticky">
    <${Filter} label="Filter metrics, text or regex" value=${chosen("q")}
      hint=${broken ? "Not a valid expression: matched as plain text" : ""}
      onChange=${(/** @type {string} */ text, /** @type {boolean} */ typing) => choose({ q: text }, { replace: typing })} />
    <div class="switch" role="group" aria-label="X axis">
      ${X_MODES.map(([mode, word, hint]) => html`<button aria-pressed=${x === mode} title=${hint}
        onClick=${() => chooseX(mode)}>${word}</button>`)}
      <select aria-label="X axis: a metric" class=${x === "metric" ? "on" : ""} title="draw over another metric" value=${chosen("xm")}
        onChange=${(/** @type {any} */ event) => chooseX(event.target.value ? "metric" : "step", event.target.value)}>
        <option value="">Metric…</option>${known.metrics.map(({ name }) => html`<option value=${name}>${name}</option>`)}</select>
    </div>
    <div class="switch" role="group" aria-label="Y axis">
      <button aria-pressed=${!log} onClick=${() => choose({ y: null })}>Linear</button>
      <button aria-pressed=${log} onClick=${() => choose({ y: "log" })}>Log</button>
    </div>
    <label class="smooth" title="Exponential moving average, weighted by distance in x; the raw curve stays visible"><span>Smooth</span>
      <input type="range" min="0" max="0.99" step="0.01" value=${chosen("s", "0")} aria-label="Smoothing"
        onInput=${(/** @type {any} */ event) => choose({ s: event.target.value === "0" ? null : event.target.value }, { replace: true })} />
      <output>${chosen("s", "0")}</output></label>
    ${stretchOf(choices.value) && html`<button class="reset" onClick=${() => zoom(null)}>Whole curves</button>`}
    ${broken && html`<small class="dim">not a valid expression: matched as text</small>`}
  </div>`;
}

/** A press hides a run or shows it again; with Shift it shows this one alone, or all.
 * @param {{runs: Run[], names: (serial: number) => string}} props */
export function Legend({ runs, names }) {
  const hidden = choices.value.getAll("hide");
  /** @param {number} serial @param {boolean} alone */
  const press = (serial, alone) => {
    const word = String(serial);
    const others = runs.map((run) => String(run.serial)).filter((one) => one !== word);
    const already = !hidden.includes(word) && others.every((one) => hidden.includes(one));
    if (alone) choose({ hide: already ? null : others });
    else choose({ hide: hidden.includes(word) ? hidden.filter((one) => one !== word) : [...hidden, word] });
  };
  const shown = runs.slice(-RUNS_NAMED);
  return html`<div class="chips" role="group" aria-label="Runs shown">
    ${shown.map((run) => {
      const off = hidden.includes(String(run.serial));
      return html`<button key=${run.serial} aria-pressed=${!off}
        title=${`${run.run_id} · ${run.state}${off ? " · hidden" : ""}\nShift: this one alone`}
        onClick=${(/** @type {MouseEvent} */ event) => press(run.serial, event.shiftKey)}>
        <i class=${runDashed(run.serial) ? "dashed" : ""} style=${{ color: runColour(run.serial) }}></i>${names(run.serial)}</button>`;
    })}
    ${runs.length > shown.length && html`<small>the newest ${shown.length} of ${say.count(runs.length)} runs</small>`}
    ${hidden.length > 0 && html`<button class="quiet" onClick=${() => choose({ hide: null })}>Show all</button>`}
  </div>`;
}
