// Which metrics a page shows and in which order. Pure.

/** @typedef {{name: string}} Named */

/** Metrics by what stands before the first "/": groups with a loss first, of them those without a prefix and
 * those of the training, then what has no prefix, then the others, `system` last. In a group losses come first.
 * @template {Named} T @param {T[]} metrics @returns {[string, T[]][]} */
export function grouped(metrics) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  const losses = metrics.filter(isLoss);
  for (const metric of [...losses, ...metrics.filter((one) => !isLoss(one))]) {
    const prefix = prefixOf(metric.name);
    const group = groups.get(prefix);
    if (group) group.push(metric);
    else groups.set(prefix, [metric]);
  }
  /** @param {[string, T[]]} group */
  const rank = ([prefix, some]) => {
    if (prefix === "system") return 4;
    if (isLoss(some[0])) return prefix === "" || /train/i.test(prefix) ? 0 : 1;
    return prefix === "" ? 2 : 3;
  };
  return [...groups].sort((a, b) => rank(a) - rank(b) || a[0].localeCompare(b[0]));
}

/** @param {Named} metric */
function isLoss({ name }) {
  return /loss/i.test(name);
}

/** What stands before the first "/". @param {string} name */
export function prefixOf(name) {
  const slash = name.indexOf("/");
  return slash > 0 ? name.slice(0, slash) : "";
}

/** The groups as a page shows them: the pinned first, in the order they were pinned.
 * @template {Named} T @param {T[]} metrics @param {string[]} pins @returns {{key: string, title: string, metrics: T[]}[]} */
export function arranged(metrics, pins) {
  const pinned = pins.map((name) => metrics.find((one) => one.name === name)).filter((one) => one !== undefined);
  const others = grouped(metrics.filter((one) => !pins.includes(one.name)));
  return [
    ...(pinned.length ? [{ key: "*", title: "Pinned", metrics: pinned }] : []),
    ...others.map(([prefix, some]) => ({ key: prefix || "-", title: prefix || "Metrics", metrics: some })),
  ];
}

/** A filter that takes what was typed as it stands and, where it is one, as a regular expression.
 * @param {string} text @returns {{matches: (name: string) => boolean, broken: boolean}} */
export function nameFilter(text) {
  const plain = text.toLowerCase();
  let pattern = null;
  try {
    pattern = new RegExp(text, "i");
  } catch {
    return { matches: (name) => name.toLowerCase().includes(plain), broken: true };
  }
  const known = pattern;
  return { matches: (name) => name.toLowerCase().includes(plain) || known.test(name), broken: false };
}
