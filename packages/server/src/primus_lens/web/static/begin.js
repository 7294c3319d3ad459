// What to do where no job has reported yet: the exact commands, with this server's own address.
import { html, useRef } from "./vendor/index.js";
import { signedIn } from "./api.js";

export function HowToBegin() {
  const commands = [
    "pip install primus-lens-wandb-exporter",
    `export PRIMUS_LENS_API_BASE_URL=${location.origin}/api/v1`,
    ...(signedIn.value ? ["export PRIMUS_LENS_API_TOKEN=lens_…  # with the scope ingest"] : []),
    "export WORKLOAD_UID=my-first-job",
    "python train.py",
  ].join("\n");
  return html`<div class="empty begin">
    <h2>No job has reported yet</h2>
    <p>A job that logs to Weights & Biases shows up here by itself once these are in its environment;
      the training code stays as it is.</p>
    <${Commands} id="commands" text=${commands} />
    <p>Nothing appears? In the job's environment this says what is wrong, and how to mend it:</p>
    <${Commands} id="doctor" text="python -m primus_lens_wandb_exporter doctor" />
    <p>Runs that are over can be shown too, from their files:</p>
    <${Commands} id="import" text=${`primus-lens import wandb ./wandb --workload my-first-workload --url ${location.origin}`} />
    <p class="dim watching"><i aria-hidden="true"></i><span>This page is watching: the job appears within seconds of its first <code>wandb.log</code>.</span></p>
  </div>`;
}

/** @param {{id: string, text: string}} props */
function Commands({ id, text }) {
  const button = useRef(null);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      button.current.textContent = "Copied";
    } catch {
      // Without HTTPS a browser has no clipboard for pages: select, and the reader copies.
      getSelection()?.selectAllChildren(/** @type {Node} */ (document.getElementById(id)));
      button.current.textContent = "Selected: press Ctrl+C";
    }
  }
  return html`<div class="commands"><pre id=${id} tabindex="0">${text}</pre><button ref=${button} onClick=${copy}>Copy</button></div>`;
}
