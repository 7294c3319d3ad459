// The table of the fleet. However long it is, only the rows near the window are in the page.
import { html, signal, useEffect, useLayoutEffect, useRef } from "./vendor/index.js";
import { choices, choose, chosen, workloadAddress } from "./address.js";
import { alike } from "./alike.js";
import { fleet, lookAt, rowAt } from "./fleet.js";
import { Ago, Num, StateMark } from "./frame.js";
import { now } from "./live.js";
import * as say from "./say.js";

/** @typedef {import("./api.js").Workload} Workload */

const AHEAD = 10; // rows drawn beyond the window, so that a scroll meets no blank
const HELD_MS = 3000; // how long after the pointer's last move rows keep their places
const UPWARD = new Set(["name", "framework", "state"]); // as the server sorts; the others begin with the largest
const SAME = /** @type {Record<string, string>} */ ({ divergence: "diverged", stall: "stalled" }); // the state says it already
const SLOW = new Set(["stall", "throughput_drop"]); // trouble of pace, not of what is learnt
const SPARK = { width: 96, height: 26 };

/** What a column is called, how it sorts, and its class. @type {[string, string, string][]} */
const COLUMNS = [
  ["Workload", "name", "who"], ["State", "trouble", "how"], ["Framework", "framework", "framework"], ["Progress", "progress", "progress"],
  ["Step rate", "step_rate", "rate n"], ["Loss", "", "loss"], ["Last report", "last_seen", "age n"],
];

const drawn = signal([0, 40]);
/** The place of the row the keyboard is at; -1 before the first key. */
const at = signal(-1);
let awaited = -1;
let heldAt = -Infinity;

/** Whether rows should keep their places: nobody likes a target that moves. */
export function isHeld() {
  return performance.now() - heldAt < HELD_MS;
}

/** Move the keyboard by rows. @param {number} by */
export function moveTo(by) {
  const total = fleet.value?.total ?? 0;
  if (!total) return;
  at.value = Math.max(0, Math.min(total - 1, at.value + by));
  heldAt = performance.now();
  reveal(at.value);
}

/** Tick the row the keyboard is at, or take its tick away. */
export function tickHere() {
  const row = at.value < 0 ? null : rowAt(at.value);
  if (row) tick(row.workload_uid);
}

/** @param {string} uid */
function tick(uid) {
  const ticked = choices.value.getAll("tick");
  choose({ tick: ticked.includes(uid) ? ticked.filter((one) => one !== uid) : [...ticked, uid] }, { replace: true });
}

/** Bring a row into the window, below the heads of the table, and give it the keyboard.
 * @param {number} place */
function reveal(place) {
  const body = document.querySelector(".board tbody");
  if (!body) return;
  const height = rowHeight(body);
  const top = body.getBoundingClientRect().top + place * height;
  const head = document.querySelector(".board thead")?.getBoundingClientRect().height ?? 0;
  if (top < head) window.scrollBy(0, top - head);
  else if (top + height > innerHeight - 8) window.scrollBy(0, top + height - innerHeight + 8);
  awaited = place;
  measure();
  focusAwaited();
  if (awaited >= 0) requestAnimationFrame(focusAwaited);
}

/** The row the keyboard went to gets it once it is in the page. */
function focusAwaited() {
  const link = /** @type {HTMLElement | null} */ (awaited < 0 ? null : document.querySelector(`tr[data-at="${awaited}"] a`));
  if (!link) return;
  awaited = -1;
  link.focus({ preventScroll: true });
}

/** @param {Element} body */
function rowHeight(body) {
  return Number.parseFloat(getComputedStyle(body).getPropertyValue("--row"));
}

/** Which rows are near the window. */
function measure() {
  const body = document.querySelector(".board tbody");
  const total = fleet.value?.total ?? 0;
  if (!body) return;
  const height = rowHeight(body);
  const above = Math.floor(-body.getBoundingClientRect().top / height);
  const first = Math.max(0, Math.min(total - 1, above - AHEAD));
  const last = Math.max(0, Math.min(total - 1, above + Math.ceil(innerHeight / height) + AHEAD));
  if (first !== drawn.value[0] || last !== drawn.value[1]) drawn.value = [first, last];
}

export function Board() {
  const known = fleet.value;
  const total = known?.total ?? 0;
  useEffect(() => {
    let waiting = 0;
    const soon = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; measure(); }); };
    window.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("resize", soon);
    return () => {
      window.removeEventListener("scroll", soon);
      window.removeEventListener("resize", soon);
    };
  }, []);
  useLayoutEffect(measure, [total]);
  const [first, last] = [Math.min(drawn.value[0], total - 1), Math.min(drawn.value[1], total - 1)];
  useEffect(focusAwaited);
  useEffect(() => lookAt(first, last, () => undefined), [first, last]);
  const rows = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  return html`<table class="board" aria-rowcount=${total + 1} onPointerMove=${() => { heldAt = performance.now(); }}
      onPointerLeave=${() => { heldAt = -Infinity; }}>
    <thead><tr aria-rowindex="1"><td class="tick"></td>${COLUMNS.map(([word, sort, kind]) => html`<${Head} word=${word} sort=${sort} kind=${kind} />`)}</tr></thead>
    <tbody>
      <${Gap} rows=${first} />
      ${rows.map((place) => {
        const row = rowAt(place);
        return row ? html`<${Row} key=${row.workload_uid} row=${row} place=${place} />` : html`<${Blank} key=${`blank ${place}`} place=${place} />`;
      })}
      <${Gap} rows=${total - 1 - last} />
    </tbody></table>`;
}

/** The rows that are not in the page, as so much room. @param {{rows: number}} props */
function Gap({ rows }) {
  const room = useRef(null);
  useLayoutEffect(() => room.current.style.setProperty("--rows", String(rows)), [rows]);
  return html`<tr class="gap" ref=${room} aria-hidden="true"><td colspan=${COLUMNS.length + 1}></td></tr>`;
}

/** A column's head; pressed, the table goes by it, then the other way, then by trouble again.
 * @param {{word: string, sort: string, kind: string}} props */
function Head({ word, sort, kind }) {
  const current = chosen("sort", "trouble");
  const by = current.replace(/^-/, "") === sort ? (current.startsWith("-") ? "turned" : "by") : "no";
  if (!sort) return html`<th scope="col" class=${kind}>${word}</th>`;
  const ascends = (by === "by") === UPWARD.has(sort);
  const next = { no: sort, by: `-${sort}`, turned: null }[by];
  return html`<th scope="col" class=${kind} aria-sort=${by === "no" ? "none" : ascends ? "ascending" : "descending"}>
    <button onClick=${() => choose({ sort: next === "trouble" ? null : next })}>${word}<span class="way" aria-hidden="true">${by === "no" ? "" : ascends ? "↑" : "↓"}</span></button></th>`;
}

/** @param {{place: number}} props */
function Blank({ place }) {
  return html`<tr class="blank" aria-rowindex=${place + 2} aria-label="Loading"><td class="tick"></td>
    ${COLUMNS.map(([, , kind]) => html`<td class=${kind}><i></i></td>`)}</tr>`;
}

/** @param {{row: Workload, place: number}} props */
function Row({ row, place }) {
  const name = row.name ?? row.workload_uid;
  const ticked = choices.value.getAll("tick").includes(row.workload_uid);
  const below = [
    row.project,
    [row.namespace, row.pods[0]].filter(Boolean).join("/") + (row.pods.length > 1 ? ` +${row.pods.length - 1}` : ""),
    row.runs > 1 && `${row.runs} runs`,
    name !== row.workload_uid && row.workload_uid,
  ].filter(Boolean).join(" · ");
  return html`<tr data-at=${place} aria-rowindex=${place + 2} class=${ticked ? "is-ticked" : ""} onFocusIn=${() => { if (awaited < 0) at.value = place; }}
      onClick=${(/** @type {MouseEvent} */ event) => openRow(event, row.workload_uid)}>
    <td class="tick"><input type="checkbox" checked=${ticked} aria-label=${`Tick ${name} to compare`} onChange=${() => tick(row.workload_uid)} /></td>
    <th scope="row" class="who"><a href=${workloadAddress(row.workload_uid)} title=${name}>${name}</a><small title=${below}>${below}</small></th>
    <td class="how"><${StateMark} state=${row.state} /><${Alerts} alerts=${row.alerts ?? []} state=${row.state} /></td>
    <td class="framework"><${Framework} row=${row} /></td>
    <td class="progress"><${Progress} row=${row} /></td>
    <td class="rate n">${typeof row.step_rate === "number" ? say.rate(row.step_rate) : html`<span class="dim">–</span>`}</td>
    <td class="loss"><${Loss} row=${row} /></td>
    <td class="age n"><${Ago} ms=${row.last_seen} /></td>
  </tr>`;
}

/** A row is its link, except where something else may be pressed.
 * @param {MouseEvent} event @param {string} uid */
function openRow(event, uid) {
  if (/** @type {Element} */ (event.target).closest("a, input, .tick") || getSelection()?.toString()) return;
  if (event.ctrlKey || event.metaKey) window.open(workloadAddress(uid), "_blank", "noopener");
  else location.assign(workloadAddress(uid));
}

/** The worst alert and for how long; of others which they are, or how many kinds.
 * @param {{alerts: import("./api.js").Alert[], state: string}} props */
function Alerts({ alerts, state }) {
  if (!alerts.length) return null;
  const told = alike(alerts);
  const first = told[0].alert;
  const others = [...new Set(told.map(({ alert }) => alert.kind))].filter((kind) => kind !== first.kind);
  const word = SAME[first.kind] === state ? "" : `${say.alertKind(first.kind)} `;
  const also = others.length > 1 ? `${others.length} more alerts` : others.map((kind) => `also ${say.alertKind(kind)}`).join("");
  return html`<span class="alert-mark ${SLOW.has(first.kind) ? "mild" : ""}" title=${told.map(({ alert }) => `${say.alertKind(alert.kind)}: ${alert.text}`).join("\n")}>
    ${word}for ${say.roughly(Math.max(0, (now.value - first.since) / 1000))}${also && html`<small>, ${also}</small>`}</span>`;
}

/** Wrapper over base, as in "primus · megatron". @param {{row: Workload}} props */
function Framework({ row }) {
  const names = [row.wrapper_framework, row.base_framework].filter(Boolean);
  const shown = [...new Set(names.length ? names : [row.framework].filter(Boolean))];
  if (!shown.length) return html`<span class="dim">not known</span>`;
  const sure = row.confidence === null ? "" : `${Math.round(row.confidence * 100)} % sure`;
  return html`<span title=${[shown.join(" over "), sure].filter(Boolean).join(", ")}>${shown[0]}${shown.length > 1 && html` <span class="dim">${shown.slice(1).join(" ")}</span>`}</span>`;
}

/** The bar, the step of how many, and how long it may still take. @param {{row: Workload}} props */
function Progress({ row }) {
  if (row.last_step === null) return html`<span class="dim">–</span>`;
  const target = row.target_step ?? null;
  const share = target ? Math.max(0, Math.min(1, row.progress ?? row.last_step / target)) : null;
  const left = row.state === "running" && typeof row.eta_s === "number" && row.eta_s > 0 ? `${say.duration(row.eta_s)} left` : "";
  const percent = share === null ? "" : share > 0 && share < 0.01 ? "< 1 %" : `${Math.floor(share * 100)} %`;
  return html`${share !== null && html`<${Bar} share=${share} state=${row.state} words=${`${percent} of ${say.count(Number(target))} steps`} />`}
    <span class="steps"><span title=${`step ${say.count(row.last_step)}${target ? ` of ${say.count(target)}` : ""}`}>
      ${share === null && html`<small>step</small> `}${say.short(row.last_step)}${target && html`<span class="dim"> / ${say.short(target)}</span>`}</span>
      <small>${left || percent}</small></span>`;
}

/** @param {{share: number, state: string, words: string}} props */
function Bar({ share, state, words }) {
  return html`<span class="meter ${state}" role="progressbar" aria-valuenow=${Math.floor(share * 100)} aria-valuemin="0" aria-valuemax="100"
    aria-label=${words} title=${words}><i style=${{ width: `${share * 100}%` }}></i></span>`;
}

/** @param {{row: Workload}} props */
function Loss({ row }) {
  const told = row.loss ?? firstValue(row);
  if (!told) return html`<span class="dim">–</span>`;
  return html`<span class="value"><${Num} value=${told.value} /><small title=${told.metric}>${told.metric}</small></span>
    <${Spark} numbers=${row.sparkline ?? []} name=${told.metric} />`;
}

/** @param {Workload} row @returns {{metric: string, value: import("./say.js").Value} | null} */
function firstValue(row) {
  const [first] = Object.entries(row.last_values ?? {});
  return first ? { metric: first[0], value: first[1] } : null;
}

/** The newest of a curve, the size of a word; what is not finite is a gap with a red foot.
 * @param {{numbers: (number | null)[], name: string}} props */
function Spark({ numbers, name }) {
  const finite = numbers.filter((y) => typeof y === "number");
  if (numbers.length < 2) return html`<span class="spark"></span>`;
  const [lo, hi] = [Math.min(...finite), Math.max(...finite)];
  const { width, height } = SPARK;
  /** @param {number} i */
  const x = (i) => (2 + (i * (width - 4)) / (numbers.length - 1)).toFixed(1);
  /** @param {number} y */
  const down = (y) => (hi === lo ? height / 2 : 3 + ((hi - y) / (hi - lo)) * (height - 6)).toFixed(1);
  let line = "";
  let holes = "";
  let pen = "M";
  numbers.forEach((y, i) => {
    if (typeof y === "number") {
      line += `${pen}${x(i)} ${down(y)}`;
      pen = "L";
    } else {
      holes += `M${x(i)} ${height}v-5`;
      pen = "M";
    }
  });
  const last = numbers.at(-1);
  const words = finite.length ? `from ${say.number(finite[0])} to ${say.number(finite.at(-1))}, between ${say.number(lo)} and ${say.number(hi)}` : "none of them finite";
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" width=${width} height=${height} role="img" aria-label=${`${name}, newest: ${words}`}>
    ${line && html`<path class="curve" d=${line} />`}${holes && html`<path class="holes" d=${holes} />`}
    ${typeof last === "number" && html`<circle cx=${x(numbers.length - 1)} cy=${down(last)} r="2" />`}</svg>`;
}
