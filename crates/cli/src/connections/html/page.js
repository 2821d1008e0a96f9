// The page around the matrix: search, the panel that explains, the two lists, and the address of it all.

const model = new Model(JSON.parse(document.getElementById("data").textContent));
const by = (id) => document.getElementById(id);
const SHOWN = 200;

// An element. Texts are only ever text: names come from whoever wrote the manifests.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const matrix = new Matrix(model, by("grid"), {
  onCell: (from, to) => explainCell(from, to),
  onUnit: (line) => explainUnit(line.unit),
});
let found = null;

const workloads = model.units.filter((unit) => unit.group.kind === 0 && unit.kind !== "namespace").length;
by("summary").textContent = [
  counted(model.data.pods, "pod"),
  ...(workloads ? [counted(workloads, "workload")] : []),
  counted(model.groups.filter((group) => group.kind === 0).length, "namespace"),
  counted(model.data.policies.length, "policy"),
].join(", ");

// ---- the panel ----

function show(...children) {
  const close = make("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => (panel().replaceChildren(), matrix.focus()) }, "×");
  panel().replaceChildren(close, ...children.filter(Boolean));
  panel().scrollTop = 0;
  // Where there is no room beside the matrix the panel is above it.
  if (matchMedia("(max-width: 800px)").matches) panel().scrollIntoView();
}

function panel() {
  return by("panel");
}

function headline(verdict, what, from, to) {
  return [
    make("h2", {}, make("span", { class: `verdict ${verdict}` }, verdict), ` ${what}`),
    make("p", { class: "ends" }, `${from} → ${to}`),
  ];
}

// A cell of two units, or of a namespace with whatever.
function explainCell(from, to) {
  remember({ from: lineName(model, from), to: lineName(model, to) });
  if (from.unit && to.unit) return explainPair(from.unit, to.unit);
  const cell = model.between(from.ends, to.ends);
  const says = summary(cell);
  const pairs = [];
  let more = 0;
  for (const a of from.units) {
    for (const b of to.units) {
      const pair = model.pair(a, b);
      if (!pair.cells.length && !pair.open) continue;
      if (found && !(pair.cells.some((number) => found.passes[number]) && found.involved(a.number, b.number))) continue;
      if (pairs.length < SHOWN) pairs.push([a, b, summary(pair).text]);
      else more++;
    }
  }
  show(
    ...headline(says.verdict, says.text, lineName(model, from), lineName(model, to)),
    cell.state === "none" ? make("p", {}, "Nothing is allowed between any two of them.") : null,
    pairs.length ? make("h3", {}, "What is in it") : null,
    make("ul", { class: "pairs" }, ...pairs.map(([a, b, text]) => make("li", {},
      make("button", { type: "button", class: "link", onclick: () => explainPair(a, b) }, `${model.fullName(a)} → ${model.fullName(b)}`),
      make("span", {}, text)))),
    more ? make("p", { class: "soft" }, `and ${more.toLocaleString("en")} more: unfold it in the matrix`) : null,
  );
}

function summary({ state, cells, open }) {
  if (state === "unjudged") return { verdict: "ALLOWED", text: "no policy applies" };
  const text = cells.length ? model.unionText(cells) : "";
  if (open) return { verdict: "UNKNOWN", text: text ? `at least ${text}` : "only an address would tell" };
  if (state === "none") return { verdict: "DENIED", text: "everything" };
  if (state === "some") return { verdict: "SOME", text };
  return { verdict: "ALLOWED", text };
}

// Two units: their ends are explained once for each answer that there is.
function explainPair(from, to) {
  remember({ from: model.fullName(from), to: model.fullName(to) });
  matrix.point(from, to);
  const answers = new Map();
  for (const a of from.ends) {
    for (const b of to.ends) {
      if (!model.judged(a, b, from === to ? from : null)) continue;
      const text = summary(model.between([a], [b]));
      const key = `${text.verdict} ${text.text}`;
      if (!answers.has(key)) answers.set(key, { a, b, count: 0 });
      answers.get(key).count++;
    }
  }
  const says = summary(model.pair(from, to));
  const parts = [...answers].slice(0, 6).flatMap(([key, { a, b, count }]) => [
    answers.size > 1 ? make("h3", {}, `${key}: ${counted(count, "pair")} of kinds of pods`) : null,
    answers.size > 1 ? make("p", { class: "soft" }, kinds(a, b)) : null,
    ...halves(model.explain(a, b), a, b, from, to),
  ]);
  show(...headline(says.verdict, says.text, model.fullName(from), model.fullName(to)), ...exemptions(from, to), ...parts);
}

function kinds(a, b) {
  const of = (end) => (end < model.podEnds && model.data.texts[model.data.ends.labels[end]]) || "no labels that a policy asks for";
  return `such as from pods with ${of(a)} to pods with ${of(b)}`;
}

function exemptions(from, to) {
  const notes = [];
  if (from.nodes.includes(to.number) || to.nodes.includes(from.number)) {
    notes.push("A pod and the node it runs on always reach each other: no policy applies to those that run there.");
  }
  if (from === to) notes.push("A pod always reaches itself: no policy applies. What is said here is of one pod to another.");
  const kinds = [from, to].map((unit) => unit.group.kind);
  if (!kinds.includes(0)) notes.push("Neither end is a pod with a network of its own: no policy applies.");
  else if (!from.ends.some((a) => to.ends.some((b) => model.data.ends.families[a] & model.data.ends.families[b]))) {
    notes.push("The two have no IP family in common.");
  }
  return notes.map((note) => make("p", {}, note));
}

function halves(explanation, a, b, from, to) {
  const { egress, ingress, text } = explanation;
  const both = [egress, ingress].every((half) => !half.profile || half.allows.length);
  const undecided = egress.unknown.length + ingress.unknown.length > 0;
  return [
    ...half(egress, from, to, b),
    ...half(ingress, to, from, a),
    text === "nothing" && both && !undecided ? make("p", {}, "What one end allows, the other does not: the two have nothing in common.") : null,
  ];
}

function half({ direction, isPod, profile, allows, others, misses, unknown }, subject, other, otherEnd) {
  const head = `${direction} of ${model.fullName(subject)}: `;
  if (!isPod) return [make("h3", {}, head, make("span", { class: "soft" }, subject.group.kind === 1 ? "a node, so no policy selects it" : "not a pod of this cluster, so no policy selects it"))];
  if (!profile) return [make("h3", {}, head, "no policy isolates it")];
  const state = !profile.isolated ? "cluster-wide policies judge it; what none of them matches is allowed"
    : others.length ? "isolated" : allows.length ? "isolated" : unknown.length ? "isolated, an address that is not known would decide" : misses.length ? "isolated, no rule allows it" : "isolated, and there is no rule";
  const lines = [make("h3", {}, head + state), isolating(profile)];
  const listed = [
    ...others.map(({ rule, acts, text }) => ruleLine(rule, "missed", `${acts} ${text}`)),
    ...allows.map(({ rule, text }) => ruleLine(rule, "allows", `allows ${text}`)),
    ...unknown.map(({ rule, text }) => ruleLine(rule, "unknown", `would allow ${text}, if the address were in it`)),
  ];
  if (!listed.length) listed.push(...misses.slice(0, 8).map(({ rule }) => ruleLine(rule, "missed", "")));
  lines.push(make("ul", { class: "rules" }, ...listed));
  if (!allows.length && !others.length && !unknown.length) {
    const labels = otherEnd < model.podEnds && model.data.texts[model.data.ends.labels[otherEnd]];
    const is = labels ? `has ${labels}` : otherEnd < model.podEnds ? "has no label that a policy asks for" : "is not a pod";
    if (misses.length) lines.push(make("p", { class: "soft" }, `None of them means ${model.fullName(other)}, which ${is}.`));
    if (misses.length > 8) lines.push(make("p", { class: "soft" }, `${misses.length - 8} more rules are farther off.`));
  }
  return lines;
}

function isolating(profile) {
  const names = profile.policies.map((policy) => make("span", {}, `${policy.namespace ? `${policy.namespace}/` : ""}${policy.name} `, make("span", { class: "place" }, policy.place)));
  return make("p", { class: "soft" }, "by ", ...names.flatMap((name, index) => (index ? [", ", name] : [name])));
}

function ruleLine(rule, name, says) {
  const word = rule.name.startsWith("egress") ? "to" : "from";
  return make("li", { class: name },
    make("div", {}, make("span", { class: "place" }, rule.place), ` ${rule.policy.name} `, make("b", {}, rule.name)),
    make("div", {}, `${word} ${rule.peers}, ${rule.ports}`),
    says ? make("div", { class: "soft" }, says) : null);
}

// A workload by itself: who isolates it, and all that it may.
function explainUnit(unit) {
  remember({ from: model.fullName(unit) });
  const parts = [make("h2", {}, model.fullName(unit)), make("p", { class: "soft" }, unit.kind === "pod" ? "a pod without a workload" : unit.group.kind === 0 ? `${unit.kind}, ${counted(unit.pods, "pod")}` : unit.kind)];
  if (unit.group.kind === 0) {
    for (const direction of ["egress", "ingress"]) {
      parts.push(make("h3", {}, `${direction}: ${isolation(model, unit, direction).text.replace(` (${direction})`, "")}`));
      const seen = new Set();
      for (const end of unit.ends) {
        const profile = model.profile(end, direction);
        const number = model.data.ends[direction][end];
        if (!profile || seen.has(number)) continue;
        seen.add(number);
        const rules = profile.rules.slice(0, 30).map((rule) => ruleLine(model.rule(rule), "allows", ""));
        parts.push(isolating(profile), make("ul", { class: "rules" }, ...rules));
        if (profile.rules.length > 30) parts.push(make("p", { class: "soft" }, `and ${counted(profile.rules.length - 30, "rule")} more`));
      }
    }
  }
  parts.push(...peers("It reaches", unit, (other) => [unit, other]), ...peers("It is reached by", unit, (other) => [other, unit]));
  show(...parts);
}

function peers(title, unit, pair) {
  const lines = model.units.map((other) => [pair(other), other]).map(([[a, b], other]) => [a, b, other, model.pair(a, b)])
    .filter(([, , , cell]) => cell.cells.length || cell.open);
  return [
    make("h3", {}, lines.length ? `${title} (${lines.length})` : `${title} nobody`),
    make("ul", { class: "pairs" }, ...lines.slice(0, SHOWN).map(([a, b, other, cell]) => make("li", {},
      make("button", { type: "button", class: "link", onclick: () => explainPair(a, b) }, model.fullName(other)), make("span", {}, summary(cell).text)))),
    lines.length > SHOWN ? make("p", { class: "soft" }, `and ${lines.length - SHOWN} more`) : null,
  ];
}

// ---- the lists ----

// A table that draws more of itself when it is asked to.
function table(titles, rows, row) {
  const body = make("tbody");
  const more = make("button", { type: "button", class: "more" });
  let shown = 0;
  const grow = () => {
    body.append(...rows.slice(shown, shown + SHOWN).map((item) => make("tr", {}, ...row(item).map((cell, column) => make("td", { "data-title": titles[column] }, cell)))));
    shown = Math.min(rows.length, shown + SHOWN);
    more.textContent = `Show more (${(rows.length - shown).toLocaleString("en")} left)`;
    more.hidden = shown === rows.length;
  };
  more.addEventListener("click", grow);
  grow();
  return [make("table", {}, make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)))), body), more];
}

function listed([, , , from, to, traffic]) {
  if (!found) return true;
  if (!found.ports.every((port) => hasPort(model.traffic[traffic], port))) return false;
  if (!found.anyName) return true;
  const [inFrom, inTo] = [[from, 0], [to, 1]].map(([set, side]) => found.ends[side].some((bit, end) => bit && model.has(set, end)));
  return found.arrow ? inFrom && inTo : inFrom || inTo;
}

function drawList() {
  const text = (number) => model.data.texts[number];
  const rows = model.data.list.filter(listed);
  const row = ([from, to, says]) => [text(from), text(to), text(says)];
  const parts = rows.length ? table(["From", "To", "Ports"], rows, row) : [make("p", {}, "Nothing of it.")];
  parts.push(make("p", { class: "soft" }, "What is open only because nobody is isolated at either end is left out here; the matrix has it."));
  const undecided = model.data.undecided.filter(listed);
  if (undecided.length) parts.push(make("h4", {}, "Not certain: only an address that is not known yet would tell"), ...table(["From", "To", "Ports"], undecided, row));
  if (!found && model.data.unmatched.length) {
    const peer = ([number, selector]) => [model.rule(number), selector];
    parts.push(make("h4", {}, "No pod of the input is meant by"), ...table(["Where", "Rule", "Peer"], model.data.unmatched.map(peer), ([rule, selector]) => [
      make("span", { class: "place" }, rule.place), `${rule.policy.namespace}/${rule.policy.name} ${rule.name}`, selector]));
  }
  by("list").replaceChildren(...parts);
}

function drawWorkloads() {
  const units = model.units.filter((unit) => unit.group.kind === 0 && (!found || found.rows[unit.number] || found.columns[unit.number]));
  const state = (unit, direction) => {
    const names = [...new Set(unit.ends.flatMap((end) => (model.profile(end, direction) || { policies: [] }).policies.map((policy) => policy.name)))];
    const text = isolation(model, unit, direction).text.replace(` (${direction})`, "");
    return names.length ? make("span", {}, `${text} `, make("span", { class: "soft" }, `by ${names.slice(0, 4).join(", ")}${names.length > 4 ? ` and ${names.length - 4} more` : ""}`)) : text;
  };
  by("workloads").replaceChildren(...table(["Workload", "Pods", "Egress", "Ingress"], units, (unit) => [
    make("button", { type: "button", class: "link", onclick: () => explainUnit(unit) }, model.fullName(unit)),
    `${unit.pods}`, state(unit, "egress"), state(unit, "ingress")]));
}

// ---- search, tabs, keys, address ----

const drawings = { matrix: () => matrix.show(found), list: drawList, workloads: drawWorkloads };
let tab = "matrix";

function select(name) {
  tab = name;
  for (const other of Object.keys(drawings)) {
    by(other).hidden = other !== name;
    by(`tab-${other}`).setAttribute("aria-selected", other === name);
    by(`tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
  drawings[name]();
  remember({ tab: name === "matrix" ? null : name });
}

function search(text) {
  found = model.search(text);
  const units = found ? model.units.filter((unit) => found.rows[unit.number] || found.columns[unit.number]).length : 0;
  by("hits").textContent = found ? (units ? `${units.toLocaleString("en")} of ${model.units.length.toLocaleString("en")}` : "nothing found") : "";
  drawings[tab]();
  remember({ q: text || null });
}

// The address holds what is looked at, so that it can be passed on.
function remember(change) {
  const state = new URLSearchParams(location.hash.slice(1));
  if ("from" in change) state.delete("to");
  for (const [name, value] of Object.entries(change)) {
    if (value === null) state.delete(name);
    else state.set(name, value);
  }
  history.replaceState(null, "", `#${state}`);
}

function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  const [from, to] = ["from", "to"].map((name) => state.get(name));
  const unit = (name) => model.units.find((candidate) => model.fullName(candidate) === name);
  for (const name of (state.get("open") || "").split(",")) {
    const group = model.groups.find((candidate) => candidate.name === name);
    if (group && !matrix.open.has(group.number)) matrix.toggle(group);
  }
  by("query").value = state.get("q") || "";
  if (by("query").value) search(by("query").value);
  if (drawings[state.get("tab")]) select(state.get("tab"));
  if (unit(from) && unit(to)) explainPair(unit(from), unit(to));
  else if (unit(from)) explainUnit(unit(from));
}

let typing = 0;
by("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => search(by("query").value), 120);
});
by("search").addEventListener("submit", (event) => (event.preventDefault(), search(by("query").value)));
by("fold").addEventListener("click", () => matrix.foldAll(false));
by("unfold").addEventListener("click", () => matrix.foldAll(true));
for (const name of Object.keys(drawings)) by(`tab-${name}`).addEventListener("click", () => select(name));
by("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = Object.keys(drawings);
  select(names[(names.indexOf(tab) + step + names.length) % names.length]);
  by(`tab-${tab}`).focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== by("query")) {
    event.preventDefault();
    by("query").focus();
  } else if (event.key === "Escape" && panel().hasChildNodes()) {
    panel().replaceChildren();
    matrix.focus();
  }
});
by("maybe").hidden = !model.data.possible;
// A small cluster is read as a whole; a large one begins with its namespaces.
if (model.units.length <= 40) matrix.foldAll(true);
recall();
