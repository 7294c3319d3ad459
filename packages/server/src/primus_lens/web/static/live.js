// Keeps a page fresh: asks again and again while somebody is looking, waits longer while it fails.
import { signal } from "./vendor/index.js";
import { clockOffset, Trouble } from "./api.js";

const EVERY_MS = 2000;
const SLOWEST_MS = 30_000;

/** @typedef {{phase: "loading" | "live" | "paused" | "trouble", trouble: Trouble | null,
 *   at: number | null}} Pulse  at: when the last answer came, Unix ms */

/** The server's time, ticking once a second while the page is seen. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now() + clockOffset.value;
}, 1000);

/** Run `refresh` at once, then 2 s after each answer; never while the tab is hidden.
 * @param {() => Promise<void>} refresh */
export function keepLive(refresh) {
  /** @type {{value: Pulse}} */
  const pulse = signal({ phase: "loading", trouble: null, at: null });
  let failures = 0;
  let timer = 0;
  let running = false;
  let again = false;

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
      pulse.value = { phase: "live", trouble: null, at: Date.now() };
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
      pulse.value = pulse.value.phase === "live" ? { ...pulse.value, phase: "paused" } : pulse.value;
    } else {
      timer = setTimeout(beat, Math.min(SLOWEST_MS, EVERY_MS * 2 ** failures));
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      if (!running) next();
    } else {
      now.value = Date.now() + clockOffset.value;
      void beat();
    }
  });
  window.addEventListener("online", () => void beat());
  void beat();
  return { pulse, refreshNow: () => void beat() };
}

/** @param {unknown} error */
function inWords(error) {
  if (error instanceof Trouble) return error;
  console.error(error);
  return new Trouble(`This page met an error of its own: ${error}`, 0);
}
