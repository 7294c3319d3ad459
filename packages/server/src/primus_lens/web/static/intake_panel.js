// How a workload's reports arrive: when the last came, what was lost on the way, how wrong its clock is.
import { html, signal } from "./vendor/index.js";
import { ask, Trouble } from "./api.js";
import { Ago, When } from "./frame.js";
import * as say from "./say.js";
import { detailPath } from "./wishes.js";

/** @typedef {{run_id: string | null, first: number, last: number, points: number | null, reason: string, at: number}} Gap
 * @typedef {{last_seen: number | null, streams: {stream: string, records: number, updated_at: number}[], gaps: Gap[],
 *   points_lost: number, clock_skew_s: number | null, parked: number}} Health */

const SKEW_WORTH_SAYING_S = 5; // below it is the way of a point through spool and network
const OLD_S = 86400; // no clock is so wrong: these are points of an earlier time
const REASONS = /** @type {Record<string, string>} */ ({
  spool_full: "the spool was full", rejected: "the server refused them", corrupt: "the spool was damaged",
});

/** @type {{value: Health | "unknown" | null}} */
const health = signal(null);

/** @param {string} uid */
export async function refreshIntake(uid) {
  try {
    health.value = await ask(`${detailPath(uid)}/health`);
  } catch (error) {
    if (!(error instanceof Trouble) || error.status !== 404) throw error;
    health.value = "unknown";
  }
}

export function IntakePanel() {
  const known = health.value;
  if (known === null) return html`<div class="skeleton"><i></i><i></i></div>`;
  if (known === "unknown") return html`<div class="empty"><h2>Nothing is known of the intake</h2><p>This server keeps no record of how the workload’s reports arrive.</p></div>`;
  const skew = Math.abs(known.clock_skew_s ?? 0) >= SKEW_WORTH_SAYING_S;
  return html`<section class="panel" aria-label="Intake">
    <dl class="tiles">
      <div><dt>Last report</dt><dd>${known.last_seen ? html`<${Ago} ms=${known.last_seen} />` : "none yet"}</dd></div>
      <div class=${known.points_lost ? "bad" : "good"}><dt>Points lost</dt><dd>${say.count(known.points_lost)}</dd></div>
      <div class=${known.gaps.length ? "bad" : "good"}><dt>Gaps</dt><dd>${say.count(known.gaps.length)}</dd></div>
      <div class=${skew ? "warn" : "good"}><dt>Clock of the job</dt><dd>${clockWords(known.clock_skew_s, skew)}</dd></div>
      <div class=${known.parked ? "warn" : ""}><dt>Waiting for their pod</dt><dd>${say.count(known.parked)} report${known.parked === 1 ? "" : "s"}</dd></div>
    </dl>
    <h2>Gaps</h2>
    ${known.gaps.length ? html`<div class="wide"><table>
      <thead><tr><th scope="col">When</th><th scope="col">Run</th><th scope="col">Records</th><th scope="col" class="n">Points</th><th scope="col">Why</th></tr></thead>
      <tbody>${known.gaps.map((gap) => html`<tr><td><${When} ms=${gap.at} /></td><td>${gap.run_id ?? "–"}</td>
        <td>${say.count(gap.first)}${gap.last === gap.first ? "" : ` to ${say.count(gap.last)}`}</td>
        <td class="n">${gap.points === null ? "not known" : say.count(gap.points)}</td><td>${REASONS[gap.reason] ?? gap.reason.replaceAll("_", " ")}</td></tr>`)}</tbody>
    </table></div>` : html`<p class="dim">None: everything the job recorded has arrived, or is still on its way.</p>`}
    <h2>Streams <small>${say.count(known.streams.length)}</small></h2>
    ${known.streams.length ? html`<div class="wide"><table>
      <thead><tr><th scope="col">Stream</th><th scope="col" class="n">Records stored</th><th scope="col">Last</th></tr></thead>
      <tbody>${known.streams.map((one) => html`<tr key=${one.stream}><th scope="row"><code>${one.stream}</code></th>
        <td class="n">${say.count(one.records)}</td><td><${Ago} ms=${one.updated_at} /></td></tr>`)}</tbody>
    </table></div>` : html`<p class="dim">No record numbers are known of this workload’s reports. The exporter numbers what it sends, so that a gap shows.</p>`}
  </section>`;
}

/** @param {number | null} skew seconds that the server's clock is ahead, the way of a point included @param {boolean} wrong */
function clockWords(skew, wrong) {
  if (skew === null) return "not known";
  if (!wrong) return "right";
  if (skew > OLD_S) return `points ${say.duration(skew)} old`;
  return `${say.duration(Number(Math.abs(skew).toPrecision(2)))} ${skew > 0 ? "behind" : "ahead"}`;
}
