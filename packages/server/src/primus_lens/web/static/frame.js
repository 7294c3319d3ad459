// What every page has around its content: the bar, the pulse, troubles in words, help, shortcuts.
import { html, useEffect, useRef } from "./vendor/index.js";
import { now } from "./live.js";
import { look, switchLook } from "./look.js";
import * as say from "./say.js";
import { SignIn, SignOut } from "./sign_in.js";

/** @typedef {{pulse: {value: import("./live.js").Pulse}, refreshNow: () => void}} Live */

const STATE_WORDS = {
  running: "running", finished: "finished", failed: "failed", crashed: "crashed", unknown: "unknown",
};

/** The page around its content.
 * @param {{live: Live, shortcuts: [string, string][], children?: any}} props */
export function Frame({ live, shortcuts, children }) {
  const help = useRef(null);
  const locked = live.pulse.value.trouble?.status === 401;
  useShortcuts({ "?": () => help.current?.showModal(), "/": focusFilter });
  return html`
    <a class="skip" href="#content">Skip to content</a>
    <header class="bar">
      <a class="brand" href="/"><img src="/static/icon.svg" alt="" width="22" height="22" />Primus Lens</a>
      <nav aria-label="Pages"><a href="/docs">API</a></nav>
      ${!locked && html`<${PulseLight} live=${live} />`}
      <${SignOut} />
      <button class="quiet" onClick=${switchLook}
        aria-label=${look.value === "dark" ? "Switch to light" : "Switch to dark"}
        title=${look.value === "dark" ? "Switch to light" : "Switch to dark"}>
        ${look.value === "dark" ? "☀" : "☾"}
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
      <p>Every choice is in the address: copy it to show someone the same view.
        Pages refresh every 2 seconds while they are seen.</p>
      <form method="dialog"><button autofocus>Close</button></form>
    </dialog>`;
}

/** @param {MouseEvent} event */
function closeOnBackdrop(event) {
  if (event.target === event.currentTarget) /** @type {any} */ (event.target).close();
}

/** @param {{live: Live}} props */
function PulseLight({ live }) {
  const { phase, at } = live.pulse.value;
  const words = { loading: "loading", live: "live", paused: "paused", trouble: "not up to date" };
  return html`<span class="pulse ${phase}" role="status" title=${at ? `last answer ${say.clock(at)}` : ""}>
    <i aria-hidden="true"></i>${words[phase]}</span>`;
}

/** Says what is wrong and offers another try.
 * @param {{live: Live}} props */
function TroubleNote({ live }) {
  const { trouble, at } = live.pulse.value;
  if (!trouble || (trouble.status === 404 && at === null)) return null; // the page itself says so
  return html`<div class="trouble" role="alert">
    <p><strong>${trouble.message.replace(/[^.!?]$/, "$&.")}</strong> ${at ? `Shown is what was known at ${say.clock(at)}. ` : ""}
      Trying again by itself.</p>
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
 * @param {{label: string, value: string, onChange: (text: string, typing: boolean) => void, hint?: string}} props */
export function Filter({ label, value, onChange, hint = "" }) {
  const typing = useRef(false);
  return html`<span class="filter">
    <input id="filter" type="search" aria-label=${label} placeholder=${label} value=${value} title=${hint}
      spellcheck="false" autocomplete="off"
      onInput=${(/** @type {any} */ event) => { onChange(event.target.value, typing.current); typing.current = true; }}
      onBlur=${() => { typing.current = false; }}
      onKeyDown=${(/** @type {any} */ event) => { if (event.key === "Escape") { event.target.blur(); } }} />
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
      if (target.closest("input, textarea, select, dialog")) return;
      const action = latest.current[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    }
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}
