// The one door to the vendored libraries: pages import from here, so a new version is one edit.
import { createElement } from "./preact-11.2.0/preact.mjs";
import htm from "./htm-3.1.1/htm.mjs";

export { render } from "./preact-11.2.0/preact.mjs";
export { useEffect, useLayoutEffect, useMemo, useRef } from "./preact-11.2.0/hooks.mjs";
export { computed, effect, signal, useSignal } from "./preact-signals-2.11.4/signals.mjs";

/** Templates: html`<p>${text}</p>`; text is always text, never markup. */
export const html = htm.bind(
  /** @this {number[]} @param {[any, any, ...any[]]} made */
  function fresh(...made) {
    // htm would make a subtree without values once and hand out that object ever after; Preact 11 ties
    // each past tree to it, and a page open all day grew by 70 kB with every refresh. 3 means: anew.
    this[0] = 3;
    return createElement(...made);
  },
);
