// Dark or light: the system's choice until the reader makes one.
import { signal } from "./vendor/index.js";

const KEY = "primus-lens-theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** "dark" or "light" as shown now; charts draw themselves again when it changes. */
export const look = signal(current());

systemDark.addEventListener("change", () => {
  look.value = current();
});

function current() {
  return document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light");
}

/** Show the other one; choosing what the system has anyway follows the system again. */
export function switchLook() {
  const next = look.value === "dark" ? "light" : "dark";
  if (next === (systemDark.matches ? "dark" : "light")) {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, next);
    document.documentElement.dataset.theme = next;
  }
  look.value = next;
}
