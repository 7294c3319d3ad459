// What is compared as tables: a row a run with its newest values, and the settings that differ.
import { html, useEffect } from "./vendor/index.js";
import { choices, choose, chosen, workloadAddress } from "./address.js";
import { runColour, runDashed } from "./card.js";
import { metricsOf, newestOf, watch } from "./compared.js";
import { Ago, Num, StateMark } from "./frame.js";
import * as say from "./say.js";
import { leaves } from "./settings_panel.js";

/** @typedef {import("./compared.js").Side} Side
 * @typedef {import("./say.js").Value} Value
 * @typedef {{key: string, word: string, number: boolean, of: (side: Side) => any, show: (side: Side) => any}} Column */

const VALUES = 8; // columns of newest values; the charts show the others

/** @param {Side} side @returns {Map<string, string>} */
export function settingsOf(side) {
  const known = new Map(leaves(/** @type {Record<string, any>} */ (side.run.config ?? {}), ""));
  if (side.run.tags?.length) known.set("tags", [...side.run.tags].sort().join(", "));
  if (side.run.world_size) known.set("world size", String(side.run.world_size));
  return known;
}

/** The settings that are not the same everywhere, and how many are. @param {Side[]} sides */
export function differing(sides) {
  const all = sides.map(settingsOf);
  const keys = [...new Set(all.flatMap((one) => [...one.keys()]))].sort();
  const differ = keys.filter((key) => new Set(all.map((one) => one.get(key))).size > 1);
  return { differ, same: keys.filter((key) => !differ.includes(key)) };
}

/** @param {{value: Value | null}} props */
function Newest({ value }) {
  return value === null ? html`<span class="dim">–</span>` : html`<${Num} value=${value} />`;
}

/** A row a run. @param {{sides: Side[]}} props */
export function RunsTable({ sides }) {
  const hidden = choices.value.getAll("hide");
  const metrics = metricsOf().slice(0, VALUES);
  useEffect(() => {
    const away = metrics.map(watch);
    return () => away.forEach((leave) => leave());
  }, [metrics.join("\n")]);
  const columns = columnsOf(metrics);
  const sort = chosen("sort");
  const by = columns.find(({ key }) => key === sort.replace(/^-/, ""));
  const rows = by ? sorted(sides, by, sort.startsWith("-")) : sides;
  /** @param {Column} column */
  const head = ({ key, word, number }) => {
    const way = by?.key !== key ? "none" : sort.startsWith("-") ? "descending" : "ascending";
    const next = way === "none" ? key : way === "ascending" ? `-${key}` : null;
    const arrow = html`<span class="way" aria-hidden="true">${{ none: "", ascending: "↑", descending: "↓" }[way]}</span>`;
    return html`<th scope="col" key=${key} class=${number ? "n" : ""} aria-sort=${way}><button title=${word} onClick=${() => choose({ sort: next })}>
      ${number && arrow}${word}${!number && arrow}</button></th>`;
  };
  return html`<section class="panel" aria-label="Runs"><h2>Runs <small>${say.count(sides.length)}</small></h2>
    <div class="wide"><table class="runs">
    <thead><tr>${columns.map(head)}<th></th></tr></thead>
    <tbody>${rows.map((side) => {
      const off = hidden.includes(side.key);
      return html`<tr key=${side.key} class=${off ? "off" : ""}>
        ${columns.map((column, i) => (i === 0 ? html`<th scope="row" key=${column.key}><span class="named">
          <button class="swatch" aria-pressed=${!off} aria-label=${`Show ${side.label}`} title=${off ? "Show" : "Hide"} onClick=${() => toggleHidden(side.key)}>
            <i class=${runDashed(side.place) ? "dashed" : ""} style=${{ color: runColour(side.place) }}></i></button>
          <a href=${workloadAddress(side.uid)} title=${`${side.label}\n${side.uid} · run ${side.run.serial}`}>${side.label}</a></span></th>`
          : html`<td key=${column.key} class=${column.number ? "n" : ""}>${column.show(side)}</td>`))}
        <td class="drop"><button class="quiet" aria-label=${`Leave out ${side.label}`} title="Leave out" onClick=${() => leaveOut(side, sides)}>✕</button></td></tr>`;
    })}</tbody></table></div></section>`;
}

/** @param {string} key */
export function toggleHidden(key) {
  const hidden = choices.value.getAll("hide");
  choose({ hide: hidden.includes(key) ? hidden.filter((one) => one !== key) : [...hidden, key] });
}

/** @param {Side} side @param {Side[]} sides */
function leaveOut(side, sides) {
  const left = sides.filter((one) => one !== side).map((one) => `${encodeURIComponent(one.uid)}:${one.run.serial}`);
  choose({ w: left, hide: choices.value.getAll("hide").filter((key) => key !== side.key) });
}

/** @param {string[]} metrics @returns {Column[]} */
function columnsOf(metrics) {
  return [
    { key: "run", word: "Run", number: false, of: (side) => side.label, show: (side) => side.label },
    { key: "state", word: "State", number: false, of: (side) => side.run.state, show: (side) => html`<${StateMark} state=${side.run.state} />` },
    { key: "step", word: "Step", number: true, of: (side) => side.run.last_step, show: (side) => (side.run.last_step === null ? "–" : say.count(side.run.last_step)) },
    ...metrics.map((metric) => ({
      key: `m.${metric}`, word: metric, number: true,
      of: (/** @type {Side} */ side) => Number(newestOf(side, metric) ?? NaN),
      show: (/** @type {Side} */ side) => html`<${Newest} value=${newestOf(side, metric)} />`,
    })),
    { key: "seen", word: "Last report", number: true, of: (side) => side.run.last_seen, show: (side) => (side.run.last_seen ? html`<${Ago} ms=${side.run.last_seen} />` : "–") },
  ];
}

/** Those without a value come last either way. @param {Side[]} sides @param {Column} by @param {boolean} down */
function sorted(sides, by, down) {
  /** @param {any} value */
  const none = (value) => value === null || value === undefined || Number.isNaN(value);
  return [...sides].sort((one, other) => {
    const [a, b] = [by.of(one), by.of(other)];
    if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
    const way = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? -way : way;
  });
}

/** A row a setting. @param {{sides: Side[]}} props */
export function DifferenceTable({ sides }) {
  const { differ, same } = differing(sides);
  const whole = chosen("same") === "show";
  const all = new Map(sides.map((side) => [side.key, settingsOf(side)]));
  const keys = whole ? [...differ, ...same] : differ;
  if (!differ.length && !same.length) {
    return html`<section class="panel" aria-label="Configuration"><h2>What differs</h2>
      <p class="dim">None of these runs has told its configuration (<code>wandb.init(config=…)</code>).</p></section>`;
  }
  return html`<section class="panel" aria-label="Configuration"><h2>What differs <small>${say.count(differ.length)} of ${say.count(differ.length + same.length)} settings</small>
    ${same.length > 0 && html`<button class="quiet" aria-pressed=${whole} onClick=${() => choose({ same: whole ? null : "show" })}>
      ${whole ? "Hide what is the same" : `Show the ${say.count(same.length)} that are the same`}</button>`}</h2>
    ${keys.length > 0 && html`<div class="wide"><table class="differences">
      <thead><tr><th scope="col">Setting</th>${sides.map((side) => html`<th scope="col" key=${side.key} title=${side.label}>
        <span class="named"><i class=${runDashed(side.place) ? "key dashed" : "key"} style=${{ color: runColour(side.place) }}></i><span>${side.label}</span></span></th>`)}</tr></thead>
      <tbody>${keys.map((key) => html`<tr key=${key} class=${differ.includes(key) ? "" : "same"}><th scope="row"><button class="quiet" title="Group by this"
          aria-label=${`Group by ${key}`} onClick=${() => choose({ group: chosen("group") === key ? null : key })}>${key}</button></th>
        ${sides.map((side) => html`<td key=${side.key} title=${all.get(side.key)?.get(key)}>${all.get(side.key)?.get(key) ?? html`<span class="dim">–</span>`}</td>`)}</tr>`)}</tbody>
    </table></div>`}</section>`;
}
