// What the reader chose lives in the address: a link shows another person the same view, and the
// back button undoes a choice.
import { signal } from "./vendor/index.js";

/** The query of this page's address. */
export const choices = signal(new URLSearchParams(location.search));

window.addEventListener("popstate", () => {
  choices.value = new URLSearchParams(location.search);
});

/** @param {string} name @param {string} [otherwise] */
export function chosen(name, otherwise = "") {
  return choices.value.get(name) ?? otherwise;
}

/** Change the address.
 * @param {Record<string, string | string[] | null>} changes null or "" removes a choice
 * @param {{replace?: boolean}} [how] replace: no new entry for the back button (typing) */
export function choose(changes, how = {}) {
  const query = new URLSearchParams(choices.value);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of [value ?? ""].flat()) {
      if (one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  if (text === choices.value.toString()) return;
  const address = location.pathname + (text ? `?${text}` : "");
  if (how.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  choices.value = query;
}

/** @param {string} uid any text */
export function workloadAddress(uid) {
  return `/workloads/${encodeURIComponent(uid)}`;
}

/** @param {string[]} uids workloads to lay side by side, any text */
export function compareAddress(uids) {
  const query = new URLSearchParams();
  for (const uid of uids) query.append("w", encodeURIComponent(uid));
  return `/compare?${query}`;
}
