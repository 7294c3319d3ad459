// Signing in and out: the form where a server asks for a token, the button where a browser has one.
import { html, useSignal } from "./vendor/index.js";
import { signedIn, signIn, signOut } from "./api.js";

/** Asks for a token and trades it for a cookie that no script can read.
 * @param {{onDone: () => void}} props */
export function SignIn({ onDone }) {
  const token = useSignal("");
  const said = useSignal("");
  const busy = useSignal(false);

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    busy.value = true;
    said.value = "";
    try {
      await signIn(token.value.trim());
      onDone();
    } catch (error) {
      said.value = error instanceof Error ? error.message : String(error);
    }
    busy.value = false;
  }

  return html`<section class="sign-in" aria-labelledby="sign-in">
    <h2 id="sign-in">Sign in</h2>
    <p>This server shows its workloads to those who have a token with the scope <em>read</em>.
      Whoever runs it makes one with <code>primus-lens token create --scope read</code>.</p>
    <form onSubmit=${submit}>
      <input type="password" aria-label="Token" placeholder="lens_…" autocomplete="off" required
        onInput=${(/** @type {any} */ event) => { token.value = event.target.value; }} />
      <button class="main" disabled=${busy.value}>Sign in</button>
    </form>
    ${said.value && html`<p role="alert">The token was not taken: ${said.value}.</p>`}
  </section>`;
}

/** Nothing where nobody has signed in. */
export function SignOut() {
  async function leave() {
    await signOut();
    location.reload(); // what the page knows goes with it
  }
  return signedIn.value && html`<button class="quiet" onClick=${leave}>Sign out</button>`;
}
