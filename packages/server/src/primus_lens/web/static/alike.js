// Alerts as they are told: the worst first, and what is said of several runs alike said once. Pure.

const WORST_FIRST = ["divergence", "nonfinite", "loss_spike", "throughput_drop", "stall"];
const OF_PACE = new Set(["stall", "throughput_drop"]);

/** @template {{kind: string, text: string, since: number, workload_uid?: string}} A
 * @param {A[]} alerts @returns {{alert: A, runs: number}[]} */
export function alike(alerts) {
  const found = /** @type {Map<string, {alert: A, runs: number}>} */ (new Map());
  for (const alert of alerts) {
    const said = OF_PACE.has(alert.kind) ? "" : alert.text; // ranks stall seconds apart
    const key = JSON.stringify([alert.workload_uid, alert.kind, said]);
    found.set(key, { alert, runs: (found.get(key)?.runs ?? 0) + 1 });
  }
  /** @param {A} alert */
  const weight = ({ kind }) => WORST_FIRST.indexOf(kind);
  return [...found.values()].sort((a, b) => weight(a.alert) - weight(b.alert) || b.alert.since - a.alert.since);
}
