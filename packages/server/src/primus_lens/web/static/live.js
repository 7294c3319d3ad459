// Keeps a page fresh while somebody is looking: by the server's own events where it sends them, else by
// asking again and again. Says which of the two it does, and waits longer while it fails.
import { signal } from "./vendor/index.js";
import { clockOffset, Trouble } from "./api.js";

const EVERY_MS = 2000;
const SLOWEST_MS = 30_000;
const STREAM_AGAIN_MS = 30_000; // a server that sends no events is asked for them this seldom
const ASK_ANYHOW_MS = 30_000; // beside the events: a job that has gone quiet causes none

/** @typedef {{phase: "loading" | "live" | "polling" | "paused" | "trouble", trouble: Trouble | null,
 *   at: number | null, every: number}} Pulse  at: when the last answer or event came, Unix ms; every: ms between questions
 * @typedef {{path: () => string, on: Record<string, (data: any) => void>}} Events
 *   path: under /api/v1; on: what each kind of event does with its data */

/** The server's time, ticking once a second while the page is seen. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now() + clockOffset.value;
}, 1000);

/** Run `refresh` at once, and `every` so many ms after each answer; with `events`, so often only while their stream is
 * down, for what is new comes by itself. Each new stream begins with a refresh: nothing between is missed.
 * Never while the tab is hidden.
 * @param {() => Promise<void>} refresh @param {Events | null} [events] @param {number} [every] */
export function keepLive(refresh, events = null, every = EVERY_MS) {
  /** @type {{value: Pulse}} */
  const pulse = signal({ phase: "loading", trouble: null, at: null, every });
  const stream = events ? streamOf(events, { came, opened: () => void beat(), broke: () => void beat() }) : null;
  let failures = 0;
  let timer = 0;
  let running = false;
  let again = false;

  function came() {
    pulse.value = { ...pulse.value, phase: "live", trouble: null, at: Date.now() };
  }

  async function beat() {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await refresh();
      failures = 0;
      const asks = stream ? !stream.isOpen() : every > EVERY_MS;
      pulse.value = { ...pulse.value, phase: asks ? "polling" : "live", trouble: null, at: Date.now() };
    } catch (error) {
      failures += 1;
      pulse.value = { ...pulse.value, phase: "trouble", trouble: inWords(error) };
    }
    running = false;
    next();
  }

  function next() {
    if (again) {
      again = false;
      void beat();
    } else if (document.hidden) {
      const { phase } = pulse.value;
      pulse.value = phase === "live" || phase === "polling" ? { ...pulse.value, phase: "paused" } : pulse.value;
    } else {
      const pause = stream?.isOpen() && !failures ? ASK_ANYHOW_MS : every * 2 ** failures;
      timer = setTimeout(beat, Math.min(SLOWEST_MS, pause));
      if (!failures) stream?.openSoon();
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      stream?.close();
      if (!running) next();
    } else {
      now.value = Date.now() + clockOffset.value;
      void beat();
    }
  });
  window.addEventListener("online", () => void beat());
  void beat();
  return {
    pulse,
    refreshNow: () => void beat(),
    /** Follow another path: what `events.path` says has changed. */
    reopen() {
      stream?.close();
      void beat();
    },
  };
}

/** One stream of events at a time; opened when first asked to, then seldom until it holds.
 * @param {Events} events
 * @param {{came: () => void, opened: () => void, broke: () => void}} tell */
function streamOf(events, tell) {
  let source = /** @type {EventSource | null} */ (null);
  let open = false;
  let triedAt = -Infinity;

  function close() {
    source?.close();
    source = null;
    open = false;
    triedAt = -Infinity;
  }

  function connect() {
    triedAt = Date.now();
    const made = new EventSource(`/api/v1${events.path()}`);
    source = made;
    made.addEventListener("open", () => {
      open = true;
      tell.opened();
    });
    made.addEventListener("error", () => {
      // The browser's own attempts would go on unseen; ours say what they do and pace themselves.
      made.close();
      if (source !== made) return;
      source = null;
      const held = open;
      open = false;
      if (held) triedAt = -Infinity;
      if (held) tell.broke();
    });
    for (const [kind, act] of Object.entries(events.on)) {
      made.addEventListener(kind, (event) => {
        act(JSON.parse(/** @type {MessageEvent} */ (event).data));
        tell.came();
      });
    }
  }

  return {
    isOpen: () => open,
    close,
    openSoon() {
      if (!source && Date.now() - triedAt >= STREAM_AGAIN_MS) connect();
    },
  };
}

/** @param {unknown} error */
function inWords(error) {
  if (error instanceof Trouble) return error;
  console.error(error);
  return new Trouble(`This page met an error of its own: ${error}`, 0);
}
