// Filters by what there is: states, frameworks, namespaces, each with how many have it; and the order.
import { html, useEffect, useRef } from "./vendor/index.js";
import { choices, choose, chosen } from "./address.js";
import { fleet, NONE } from "./fleet.js";
import * as say from "./say.js";

const STATES = ["diverged", "failed", "crashed", "stalled", "running", "finished", "unknown"]; // worst first
const CHIPS = 3; // the other values of a facet are behind "more"
const NONE_WORDS = /** @type {Record<string, string>} */ ({ framework: "not known" });
const FACETS = [["state", "State"], ["framework", "Framework"], ["namespace", "Namespace"]];

const ORDERS = [
  ["", "Trouble first"], ["last_seen", "Last report"], ["name", "Name"], ["progress", "Progress"], ["step_rate", "Step rate"],
  ["last_step", "Step"], ["framework", "Framework"], ["state", "State"], ["first_seen", "First seen"],
];

export function Facets() {
  const known = fleet.value;
  if (!known) return null;
  return html`<div class="facets" role="group" aria-label="Filters">
    ${FACETS.map(([name, word]) => html`<${Facet} key=${name} name=${name} word=${word} counts=${known.facets[name] ?? {}} />`)}
  </div>`;
}

/** @param {{name: string, word: string, counts: Record<string, number>}} props */
function Facet({ name, word, counts }) {
  const on = choices.value.getAll(name);
  /** @param {string} value */
  const many = (value) => counts[value] ?? counts[value === NONE ? "" : value] ?? 0;
  const values = [...new Set([...Object.keys(counts).map((value) => value || NONE), ...on])].sort((a, b) => order(name, many, a, b));
  if (values.length < 2 && !on.length) return null; // nothing to choose between
  const few = name === "state" ? values : values.filter((value, i) => i < CHIPS || on.includes(value));
  const rest = values.filter((value) => !few.includes(value));
  /** @param {string} value */
  const chip = (value) => html`<button key=${value} class="chip ${name === "state" ? `of-state ${value}` : ""}" aria-pressed=${on.includes(value)}
    onClick=${() => toggle(name, on, value)}>${name === "state" && html`<i aria-hidden="true"></i>`}<span>${value === NONE ? NONE_WORDS[name] ?? value : value}</span> <b>${say.short(many(value))}</b></button>`;
  return html`<div class="facet" role="group" aria-label=${word}><span class="word" aria-hidden="true">${word}</span>
    ${few.map(chip)}${rest.length > 0 && html`<${More} n=${rest.length}>${rest.map(chip)}<//>`}</div>`;
}

/** @param {string} name @param {(value: string) => number} many @param {string} a @param {string} b */
function order(name, many, a, b) {
  if (name === "state") return STATES.indexOf(a) - STATES.indexOf(b);
  return many(b) - many(a) || a.localeCompare(b);
}

/** @param {string} name @param {string[]} on @param {string} value */
function toggle(name, on, value) {
  choose({ [name]: on.includes(value) ? on.filter((one) => one !== value) : [...on, value] });
}

/** @param {{n: number, children?: any}} props */
function More({ n, children }) {
  const details = useRef(null);
  useEffect(() => {
    /** @param {Event} event */
    function leave(event) {
      const menu = /** @type {HTMLDetailsElement} */ (details.current);
      const escape = event instanceof KeyboardEvent && event.key === "Escape";
      if (escape || (event.type === "pointerdown" && !menu.contains(/** @type {Node} */ (event.target)))) menu.open = false;
    }
    document.addEventListener("pointerdown", leave);
    document.addEventListener("keydown", leave);
    return () => {
      document.removeEventListener("pointerdown", leave);
      document.removeEventListener("keydown", leave);
    };
  }, []);
  return html`<details class="rest" ref=${details}><summary class="chip">${n} more</summary><div class="menu">${children}</div></details>`;
}

/** The order as a choice of its own: on a phone the table has no heads to press. */
export function SortChoice() {
  const sort = chosen("sort");
  const [by, turned] = sort.startsWith("-") ? [sort.slice(1), true] : [sort, false];
  return html`<span class="order"><label><span class="word">Order</span>
    <select onChange=${(/** @type {any} */ event) => choose({ sort: event.target.value || null })}>
      ${ORDERS.map(([key, word]) => html`<option value=${key} selected=${key === (by === "trouble" ? "" : by)}>${word}</option>`)}
    </select></label>
    <button class="quiet" aria-pressed=${turned} title="Turn the order round" aria-label="Turn the order round"
      onClick=${() => choose({ sort: turned ? (by === "trouble" ? null : by) : `-${by || "trouble"}` })}>${turned ? "↑" : "↓"}</button></span>`;
}
