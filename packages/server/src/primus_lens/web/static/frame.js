// What every page has around its content: the bar, the pulse, troubles in words, help, shortcuts.
import { html, useEffect, useRef } from "./vendor/index.js";
import { now } from "./live.js";
import { look, switchLook } from "./look.js";
import * as say from "./say.js";
import { SignIn, SignOut } from "./sign_in.js";

/** @typedef {{pulse: {value: import("./live.js").Pulse}, refreshNow: () => void}} Live */

const PAGES = [["/", "Fleet"], ["/compare", "Compare"], ["/docs", "API"]];

const STATE_WORDS = {
  running: "running", stalled: "stalled", finished: "finished", failed: "failed", crashed: "crashed", diverged: "diverged",
  unknown: "unknown",
};

/** What the marks of a chart mean, for its page's help. */
export const SIGNS = /** @type {[string, string][]} */ ([
  ["▲", "NaN at the foot of a chart, +∞ at its top; ▼ is −∞"], ["○", "a spike: far from what is usual around it"],
  ["▨", "run again after a restart; what it overwrote is dotted"],
  ["▒", "the range of all points that fall into a pixel; the line joins their last ones"],
]);

/** The page around its content.
 * @param {{live: Live, shortcuts: [string, string][], signs?: [string, string][], children?: any}} props */
export function Frame({ live, shortcuts, signs = [], children }) {
  const help = useRef(null);
  const locked = live.pulse.value.trouble?.status === 401;
  useShortcuts({ "?": () => help.current?.showModal(), "/": focusFilter });
  return html`
    <a class="skip" href="#content">Skip to content</a>
    <header class="bar">
      <a class="brand" href="/"><img src="/static/icon.svg" alt="" width="22" height="22" /><span>Primus Lens</span></a>
      <nav aria-label="Pages">${PAGES.map(([path, word]) => html`<a href=${path}
        aria-current=${location.pathname === path ? "page" : null}>${word}</a>`)}</nav>
      ${!locked && html`<${PulseLight} live=${live} />`}
      <${SignOut} />
      <button class="quiet" onClick=${switchLook}
        aria-label=${look.value === "dark" ? "Switch to light" : "Switch to dark"}
        title=${look.value === "dark" ? "Switch to light" : "Switch to dark"}>
        <${Glyph} path=${look.value === "dark" ? SUN : MOON} />
      </button>
      <button class="quiet" onClick=${() => help.current?.showModal()} aria-label="Help and shortcuts"
        title="Help and shortcuts (?)">?</button>
    </header>
    ${!locked && html`<${TroubleNote} live=${live} />`}
    <main id="content">${locked ? html`<${SignIn} onDone=${live.refreshNow} />` : children}</main>
    <dialog ref=${help} class="help" aria-label="Help" onClick=${closeOnBackdrop}>
      <h2>Shortcuts</h2>
      <dl>
        ${[["/", "filter"], ...shortcuts, ["?", "this help"], ["Esc", "leave the filter, close this"]].map(
          ([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}
      </dl>
      ${signs.length > 0 && html`<h2>In a chart</h2>
        <dl class="signs">${signs.map(([sign, what]) => html`<div><dt aria-hidden="true">${sign}</dt><dd>${what}</dd></div>`)}</dl>`}
      <p>Every choice is in the address: copy it to show someone the same view.
        What is new comes by itself while a page is seen; where it cannot, the light above says what the page
        does instead. Times are local; hold the pointer over one for UTC.</p>
      <form method="dialog"><button autofocus>Close</button></form>
    </dialog>`;
}

const SUN = "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3 19 19M19 5l-1.7 1.7M6.7 17.3 5 19";
const MOON = "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z";

/** A small drawing in the colour of the words around it. @param {{path: string}} props */
export function Glyph({ path }) {
  return html`<svg class="glyph" viewBox="0 0 24 24" width="16" height="16" aria-hidden="true"><path d=${path} /></svg>`;
}

/** @param {MouseEvent} event */
function closeOnBackdrop(event) {
  if (event.target === event.currentTarget) /** @type {any} */ (event.target).close();
}

/** Whether the page waits for what the server does not know yet. @param {Live} live */
function isAwaited({ pulse }) {
  return pulse.value.trouble?.status === 404 && pulse.value.at === null;
}

/** @param {{live: Live}} props */
function PulseLight({ live }) {
  const { at, every } = live.pulse.value;
  const phase = isAwaited(live) ? "waiting" : live.pulse.value.phase;
  const words = {
    loading: "loading", live: "live", polling: `asking every ${every / 1000} s`, paused: "paused", trouble: "not up to date", waiting: "waiting",
  };
  const kind = phase === "polling" && every > 2000 ? "steady" : phase; // meant so, where nothing comes by itself
  return html`<span class="pulse ${kind}" role="status" title=${at ? `last answer ${say.clock(at)}` : ""}>
    <i aria-hidden="true"></i><span>${words[phase]}</span></span>`;
}

/** Says what is wrong and offers another try.
 * @param {{live: Live}} props */
function TroubleNote({ live }) {
  const { trouble, at } = live.pulse.value;
  if (!trouble || isAwaited(live)) return null; // the page itself says so
  const gone = trouble.status === 404;
  return html`<div class="trouble" role="alert">
    <p><strong>${gone ? "It was deleted: the server does not know it any more." : trouble.message.replace(/[^.!?]$/, "$&.")}</strong>${" "}
      ${at ? `Shown is what was known at ${say.clock(at)}. ` : ""}${gone ? "Should it report again, this page goes on." : "Trying again by itself."}</p>
    <button onClick=${live.refreshNow}>Try now</button>
  </div>`;
}

/** @param {{state: import("./api.js").State}} props */
export function StateMark({ state }) {
  const known = state in STATE_WORDS ? state : "unknown";
  return html`<span class="state ${known}"><i aria-hidden="true"></i>${STATE_WORDS[known]}</span>`;
}

/** How long ago; the exact times on hover. @param {{ms: number}} props */
export function Ago({ ms }) {
  return html`<time datetime=${new Date(ms).toISOString()} title=${`${say.local(ms)} local\n${say.utc(ms)}`}>
    ${say.age(ms, now.value)}</time>`;
}

/** Local time; UTC on hover. @param {{ms: number}} props */
export function When({ ms }) {
  return html`<time datetime=${new Date(ms).toISOString()} title=${say.utc(ms)}>${say.local(ms)}</time>`;
}

/** A value for people; all its digits on hover. @param {{value: import("./say.js").Value}} props */
export function Num({ value }) {
  return html`<span class=${typeof value === "string" ? "odd" : ""} title=${say.exact(value)}>${say.number(value)}</span>`;
}

/** The filter of a page, found by "/".
 * @param {{label: string, value: string, onChange: (text: string, typing: boolean) => void, hint?: string, invalid?: boolean,
 *   onDown?: () => void}} props  onDown: the arrow that leaves the filter for what it found */
export function Filter({ label, value, onChange, hint = "", invalid = false, onDown = () => undefined }) {
  const typing = useRef(false);
  return html`<span class="filter">
    <input id="filter" type="search" aria-label=${label} placeholder=${label} value=${value} title=${hint}
      spellcheck="false" autocomplete="off" autocapitalize="off" aria-invalid=${invalid} aria-keyshortcuts="/"
      onInput=${(/** @type {any} */ event) => { onChange(event.target.value, typing.current); typing.current = true; }}
      onBlur=${() => { typing.current = false; }}
      onKeyDown=${(/** @type {any} */ event) => {
        if (event.key === "Escape") event.target.blur();
        if (event.key === "ArrowDown") { event.preventDefault(); onDown(); }
      }} />
    <kbd aria-hidden="true">/</kbd></span>`;
}

function focusFilter() {
  const filter = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"));
  filter?.focus();
  filter?.select();
}

/** Single keys, unless the reader is typing.
 * @param {Record<string, () => void>} actions */
export function useShortcuts(actions) {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    function pressed(event) {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest("input:not([type=checkbox]), textarea, select, dialog")) return;
      const action = latest.current[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    }
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}
