// The one door to the vendored libraries: pages import from here, so a new version is one edit.
import { createElement } from "./preact-11.2.0/preact.mjs";
import htm from "./htm-3.1.1/htm.mjs";

export { render } from "./preact-11.2.0/preact.mjs";
export { useEffect, useMemo, useRef } from "./preact-11.2.0/hooks.mjs";
export { effect, signal, useSignal } from "./preact-signals-2.11.4/signals.mjs";

/** Templates: html`<p>${text}</p>`; text is always text, never markup. */
export const html = htm.bind(createElement);
