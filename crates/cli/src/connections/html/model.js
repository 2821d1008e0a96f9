"use strict";
// The compiled answer, looked up. Nothing here touches the page.
//
// An "end" is whom no policy tells apart: some pods, a node, a part of the outside. A "unit" is what
// people name (a workload, a node, a network) and has one end or several.

const EVERYTHING = { ports: [[0, 65535], [0, 65535], [0, 65535]], portless: 1 };
const NOTHING = { ports: [[], [], []], portless: 0 };
// What a rule does.
const [ACCEPT, PASS] = [0, 2];
const PROTOCOLS = ["TCP", "UDP", "SCTP"];

class Model {
  constructor(data) {
    this.data = data;
    this.size = data.ends.families.length;
    this.podEnds = data.ends.pods.length;
    this.decoded = [];
    this.rows = new Map();
    this.groups = data.groups.map(([kind, name], number) => ({ kind, name, number, units: [], ends: [], pods: 0 }));
    this.units = data.units.map(([group, kind, name, ends, nodes], number) => {
      const unit = { number, group: this.groups[group], kind: data.texts[kind], name, ends: [], counts: [], nodes, pods: 0 };
      for (let at = 0; at < ends.length; at += 2) {
        unit.ends.push(ends[at]);
        unit.counts.push(ends[at + 1]);
        unit.pods += ends[at + 1];
      }
      unit.group.units.push(unit);
      unit.group.pods += unit.pods;
      return unit;
    });
    for (const group of this.groups) {
      group.ends = [...new Set(group.units.flatMap((unit) => unit.ends))];
      if (group.kind === 0) group.units.sort((a, b) => (a.name < b.name ? -1 : 1));
    }
    this.traffic = data.traffic.map(([text, ports, portless]) => ({ text, ports, portless }));
    this.texts = data.cells.map((cell) => this.cellText(cell));
    // Cells that say the same count as one: which families the ends have tells them apart, not what passes.
    const first = new Map();
    this.same = this.texts.map((text, cell) => (first.has(text) ? first.get(text) : (first.set(text, cell), cell)));
  }

  fullName(unit) {
    if (unit.group.kind === 1) return `node/${unit.name}`;
    if (unit.group.kind === 2) return unit.name;
    return unit.kind === "namespace" ? `namespace ${unit.group.name}` : `${unit.group.name}/${unit.name}`;
  }

  // Whether a set, by its number, has an end.
  has(set, end) {
    return this.set(set)[end] === 1;
  }

  set(number) {
    let bits = this.decoded[number];
    if (!bits) {
      bits = this.decoded[number] = new Uint8Array(this.size);
      const runs = this.data.sets[number];
      for (let index = 0, at = 0; index < runs.length; index += 2) {
        at += runs[index];
        bits.fill(1, at, at + runs[index + 1]);
        at += runs[index + 1];
      }
    }
    return bits;
  }

  // For each source the number of its cell and 1, or 0 where nothing passes; of a destination.
  sources(to, relation = this.data.certain) {
    let known = this.rows.get(relation);
    if (!known) this.rows.set(relation, (known = []));
    const number = relation.of[to];
    let row = known[number];
    if (!row) {
      row = known[number] = this.data.cells.length < 65535 ? new Uint16Array(this.size) : new Uint32Array(this.size);
      const pairs = relation.rows[number];
      for (let index = 0; index < pairs.length; index += 2) {
        const bits = this.set(pairs[index]);
        for (let end = 0; end < row.length; end++) if (bits[end]) row[end] = pairs[index + 1] + 1;
      }
    }
    return row;
  }

  // Whether policies judge what passes between two ends: one is a pod, they are not one pod, and have a family in common.
  // Within `unit`, where that is both: other units may have pods of the same end.
  judged(from, to, unit = null) {
    const { families, pods } = this.data.ends;
    if (from === to && (from >= this.podEnds || (unit ? unit.counts[unit.ends.indexOf(from)] : pods[from]) === 1)) return false;
    return (from < this.podEnds || to < this.podEnds) && (families[from] & families[to]) !== 0;
  }

  // What passes between any of some ends and any of others: "none", "all" (the same between any two),
  // "some", or "unjudged"; the cells that occur, and whether an address that is not known decides.
  between(from, to, unit = null) {
    const cells = new Set();
    let [none, judged, open] = [false, false, false];
    for (const b of to) {
      const row = this.sources(b);
      const most = this.data.possible && this.sources(b, this.data.possible);
      for (const a of from) {
        if (!this.judged(a, b, unit)) continue;
        judged = true;
        if (most && most[a] !== row[a] && (!row[a] || this.same[most[a] - 1] !== this.same[row[a] - 1])) open = true;
        if (row[a]) cells.add(this.same[row[a] - 1]);
        else none = true;
      }
    }
    const state = !judged ? "unjudged" : cells.size === 0 ? "none" : cells.size === 1 && !none ? "all" : "some";
    return { state, cells: [...cells].sort((a, b) => a - b), open };
  }

  // The same of two units.
  pair(from, to) {
    return this.between(from.ends, to.ends, from === to ? from : null);
  }

  // "TCP 80", or what differs by family.
  cellText([v4, v6]) {
    const text = (number) => this.traffic[number].text;
    if (v4 < 0 || v6 < 0 || v4 === v6) return text(v4 < 0 ? v6 : v4);
    const parts = [[v4, "IPv4"], [v6, "IPv6"]].filter(([number]) => text(number) !== "nothing");
    return parts.map(([number, family]) => `${text(number)} over ${family}`).join("; ");
  }

  // The union of some cells.
  union(cells) {
    const sets = cells.flatMap((cell) => this.data.cells[cell]).filter((number) => number >= 0);
    return sets.map((number) => this.traffic[number]).reduce(union, { ports: [[], [], []], portless: 0 });
  }

  unionText(cells) {
    return cells.length === 1 ? this.texts[cells[0]] : trafficText(this.union(cells));
  }

  // Whether a cell lets a port pass: {protocol: 0 to 2, or null for any; port}.
  cellHas(cell, wanted) {
    return this.data.cells[cell].some((number) => number >= 0 && hasPort(this.traffic[number], wanted));
  }

  rule(number) {
    const [policy, direction, index, file, line, peers, ports, v4, v6, perhaps, action, traffic] = this.data.rules[number];
    const { texts } = this.data;
    return {
      number, policy: this.policy(policy), name: `${direction ? "egress" : "ingress"}[${index}]`,
      place: this.place(file, line), peers: texts[peers], ports: texts[ports], ends: [v4, v6], perhaps, action, traffic,
    };
  }

  policy(number) {
    const [namespace, name, file, line] = this.data.policies[number];
    return { namespace: this.data.texts[namespace], name, place: this.place(file, line) };
  }

  place(file, line) {
    return file < 0 ? "" : `${this.data.texts[file]}:${line}`;
  }

  // The policies and rules that judge an end; null for one that nothing holds back.
  profile(end, direction) {
    if (end >= this.podEnds) return null;
    const number = this.data.ends[direction][end];
    if (number < 0) return null;
    const [policies, rules, tiers] = this.data.profiles[number];
    return { policies: policies.map((policy) => this.policy(policy)), rules, tiers, isolated: tiers.some(([, denies]) => denies) };
  }

  // What a rule lets pass towards an end.
  ruleTraffic(rule, to) {
    for (let at = 1; at < rule.traffic.length; at += 2) {
      if (this.has(rule.traffic[at], to)) return this.traffic[rule.traffic[at + 1]];
    }
    return this.traffic[rule.traffic[0]];
  }

  // One half of an explanation: who is judged, by what, which rules allow and which are about others.
  half(direction, from, to) {
    const [subject, other] = direction === "egress" ? [from, to] : [to, from];
    const profile = this.profile(subject, direction);
    const half = { direction, isPod: subject < this.podEnds, profile, allows: [], others: [], misses: [], unknown: [], sums: [EVERYTHING, EVERYTHING] };
    if (!profile) return half;
    half.sums = [NOTHING, NOTHING];
    const common = this.data.ends.families[from] & this.data.ends.families[to];
    // Tier by tier, the first rule that matches acts: what no rule has taken is open.
    let [open, at] = [[EVERYTHING, EVERYTHING], 0];
    let passed = [NOTHING, NOTHING];
    const ends = profile.tiers.map(([count, denies]) => [(at += count), denies]);
    const closeTiers = (place) => {
      while (ends.length && ends[0][0] <= place) {
        const [, denies] = ends.shift();
        open = open.map((rest, family) => (denies ? passed[family] : union(rest, passed[family])));
        passed = [NOTHING, NOTHING];
      }
    };
    profile.rules.forEach((number, place) => {
      closeTiers(place);
      const rule = this.rule(number);
      const traffic = this.ruleTraffic(rule, to);
      const means = [0, 1].map((family) => (common & (family + 1)) !== 0 && (rule.ends[family] < 0 || this.has(rule.ends[family], other)));
      means.forEach((yes, family) => {
        if (!yes) return;
        const taken = intersection(traffic, open[family]);
        if (rule.action === ACCEPT) half.sums[family] = union(half.sums[family], taken);
        if (rule.action === PASS) passed[family] = union(passed[family], taken);
        open[family] = difference(open[family], taken);
      });
      if (means[0] || means[1]) {
        const only = common === 3 && means[0] !== means[1] ? ` over ${means[0] ? "IPv4" : "IPv6"}` : "";
        const acts = ["allows", "denies", "passes to the next tier"][rule.action];
        (rule.action === ACCEPT ? half.allows : half.others).push({ rule, acts, text: trafficText(traffic) + only });
      } else if (rule.perhaps >= 0 && this.has(rule.perhaps, other)) {
        half.unknown.push({ rule, text: trafficText(traffic) });
      } else {
        half.misses.push({ rule, near: this.nearness(rule, other) });
      }
    });
    closeTiers(profile.rules.length);
    half.sums = half.sums.map((sum, family) => union(sum, open[family]));
    half.misses.sort((a, b) => b.near - a.near);
    return half;
  }

  // How near the peers of a rule come to an end that they do not mean: its namespace, pods at all, or neither.
  nearness(rule, other) {
    if (other >= this.podEnds) return 0;
    const bits = this.set(Math.max(rule.ends[0], 0));
    const near = this.groupOf(other).ends.some((end) => bits[end]);
    return near ? 2 : bits.subarray(0, this.podEnds).includes(1) ? 1 : 0;
  }

  groupOf(end) {
    if (!this.groupByEnd) {
      this.groupByEnd = [];
      for (const group of this.groups) for (const member of group.ends) this.groupByEnd[member] = group;
    }
    return this.groupByEnd[end];
  }

  // Both halves for two ends, and what they come to: from the rules alone, without the relation.
  explain(from, to) {
    const egress = this.half("egress", from, to);
    const ingress = this.half("ingress", from, to);
    const common = this.data.ends.families[from] & this.data.ends.families[to];
    const both = [0, 1].map((family) => intersection(egress.sums[family], ingress.sums[family]));
    const parts = [0, 1].filter((family) => common & (family + 1)).map((family) => ({ family, text: trafficText(both[family]) }));
    let text = parts.length ? parts[0].text : "nothing";
    if (parts.length === 2 && parts[0].text !== parts[1].text) {
      const some = parts.filter((part) => part.text !== "nothing");
      text = some.map((part) => `${part.text} over ${part.family ? "IPv6" : "IPv4"}`).join("; ");
    }
    return { egress, ingress, text };
  }

  // Which units match a question such as "prod/web", "5432", "53/udp" or "web -> db".
  search(text) {
    const sides = text.toLowerCase().split(/\s*(?:->|→|>)\s*/);
    const wanted = { ports: [], names: [[], []], arrow: sides.length > 1 };
    sides.slice(0, 2).forEach((side, which) => {
      for (const word of side.split(/[\s,]+/).filter(Boolean)) {
        const match = /^(?:(tcp|udp|sctp)[:/])?(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(word);
        const protocol = match && (match[1] || match[3]);
        if (match) wanted.ports.push({ protocol: protocol ? PROTOCOLS.indexOf(protocol.toUpperCase()) : null, port: Number(match[2]) });
        else wanted.names[wanted.arrow ? which : 0].push(word);
      }
    });
    if (!wanted.arrow) wanted.names[1] = wanted.names[0];
    const anyName = wanted.names[0].length + wanted.names[1].length > 0;
    if (!anyName && !wanted.ports.length) return null;
    const named = (words) => this.units.map((unit) => words.every((word) => this.fullName(unit).toLowerCase().includes(word)));
    const [from, to] = [named(wanted.names[0]), named(wanted.names[1])];
    return this.found({ ...wanted, anyName, from, to });
  }

  // The rows and columns that a search leaves.
  found(asked) {
    const { anyName, arrow, ports } = asked;
    const bits = (matches) => {
      const set = new Uint8Array(this.size);
      this.units.forEach((unit) => matches[unit.number] && unit.ends.forEach((end) => (set[end] = 1)));
      return set;
    };
    const [from, to] = [bits(asked.from), bits(asked.to)];
    const passes = this.texts.map((_, cell) => ports.every((port) => this.cellHas(cell, port)));
    // Ends that are connected to a match, and ends that match and have such a connection at all.
    const [rowPeer, columnPeer, rowSelf, columnSelf] = [0, 1, 2, 3].map(() => new Uint8Array(this.size));
    for (let b = 0; b < this.size; b++) {
      const row = this.sources(b);
      for (let a = 0; a < this.size; a++) {
        if (!row[a] || !passes[row[a] - 1] || !this.judged(a, b)) continue;
        if (arrow && !(from[a] && to[b])) continue;
        if (to[b]) rowPeer[a] = 1;
        if (from[a]) rowSelf[a] = columnPeer[b] = 1;
        if (to[b]) columnSelf[b] = 1;
      }
    }
    const left = (matches, self, peer) => this.units.map((unit) => {
      const match = anyName && matches[unit.number];
      if (match && (!ports.length || unit.ends.some((end) => self[end]))) return true;
      return (!arrow || !anyName) && unit.ends.some((end) => peer[end]);
    });
    const involved = (a, b) => !anyName || (arrow ? asked.from[a] && asked.to[b] : asked.from[a] || asked.to[b]);
    return { ...asked, rows: left(asked.from, rowSelf, rowPeer), columns: left(asked.to, columnSelf, columnPeer), passes, involved, ends: [from, to] };
  }
}

function union(a, b) {
  return { ports: a.ports.map((ranges, protocol) => merged(ranges, b.ports[protocol])), portless: a.portless | b.portless };
}

function intersection(a, b) {
  const ports = a.ports.map((ranges, protocol) => {
    const both = [];
    for (let i = 0; i < ranges.length; i += 2) {
      for (let k = 0; k < b.ports[protocol].length; k += 2) {
        const [first, last] = [Math.max(ranges[i], b.ports[protocol][k]), Math.min(ranges[i + 1], b.ports[protocol][k + 1])];
        if (first <= last) both.push(first, last);
      }
    }
    return both;
  });
  return { ports, portless: a.portless & b.portless };
}

function difference(a, b) {
  const ports = a.ports.map((ranges, protocol) => {
    let rest = ranges;
    for (let k = 0; k < b.ports[protocol].length; k += 2) {
      const [from, to] = [b.ports[protocol][k], b.ports[protocol][k + 1]];
      const left = [];
      for (let i = 0; i < rest.length; i += 2) {
        if (rest[i] < from) left.push(rest[i], Math.min(rest[i + 1], from - 1));
        if (rest[i + 1] > to) left.push(Math.max(rest[i], to + 1), rest[i + 1]);
      }
      rest = left;
    }
    return rest;
  });
  return { ports, portless: a.portless & ~b.portless };
}

// Ranges are first, last, first, last …, ascending.
function merged(a, b) {
  const pairs = [];
  for (const list of [a, b]) for (let at = 0; at < list.length; at += 2) pairs.push([list[at], list[at + 1]]);
  pairs.sort((x, y) => x[0] - y[0]);
  const all = [];
  for (const [first, last] of pairs) {
    if (all.length && first <= all[all.length - 1] + 1) all[all.length - 1] = Math.max(all[all.length - 1], last);
    else all.push(first, last);
  }
  return all;
}

function hasPort(traffic, { protocol, port }) {
  return traffic.ports.some((ranges, of) => {
    if (protocol !== null && protocol !== of) return false;
    for (let at = 0; at < ranges.length; at += 2) if (ranges[at] <= port && port <= ranges[at + 1]) return true;
    return false;
  });
}

// As the command writes it.
function trafficText({ ports, portless }) {
  const whole = ports.map((ranges) => ranges.length === 2 && ranges[0] === 0 && ranges[1] === 65535);
  if (portless && whole.every(Boolean)) return "everything";
  const parts = [];
  ports.forEach((ranges, protocol) => {
    if (whole[protocol]) parts.push(PROTOCOLS[protocol]);
    else if (ranges.length) parts.push(`${PROTOCOLS[protocol]} ${rangeTexts(ranges).join(", ")}`);
  });
  if (portless) parts.push("traffic without ports (ICMP)");
  return parts.join(", ") || "nothing";
}

function rangeTexts(ranges) {
  const texts = [];
  for (let at = 0; at < ranges.length; at += 2) {
    texts.push(ranges[at] === ranges[at + 1] ? `${ranges[at]}` : `${ranges[at]}-${ranges[at + 1]}`);
  }
  return texts;
}

// The same for a narrow cell: "5432", "53/udp", "80 +2", "all".
function shortText(traffic) {
  const text = trafficText(traffic);
  if (text === "everything") return "all";
  const list = [];
  traffic.ports.forEach((ranges, protocol) => {
    const suffix = protocol === 0 ? "" : `/${PROTOCOLS[protocol].toLowerCase()}`;
    if (ranges.length === 2 && ranges[1] - ranges[0] >= 65534) list.push(PROTOCOLS[protocol]);
    else for (const range of rangeTexts(ranges)) list.push(range + suffix);
  });
  if (traffic.portless) list.push("icmp");
  return list.length > 1 ? `${list[0]} +${list.length - 1}` : list[0] || "";
}
