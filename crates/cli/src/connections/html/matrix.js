// The matrix: only the cells in sight are in the page, so its size does not matter.

const HEIGHT = 28;
// Up to so many columns there is room to write ports into the cells.
const FEW = 26;
const AHEAD = 3;

class Matrix {
  // `onCell(from, to)` and `onUnit(line)` are told what was chosen; lines are {group} or {group, unit}.
  constructor(model, grid, { onCell, onUnit }) {
    Object.assign(this, { model, grid, onCell, onUnit });
    this.open = new Set();
    this.found = null;
    this.active = [0, 0];
    this.chosen = null;
    this.sizer = grid.appendChild(document.createElement("div"));
    this.sizer.className = "sizer";
    this.sizer.setAttribute("role", "presentation");
    let asked = false;
    const later = () => {
      if (!asked) requestAnimationFrame(() => ((asked = false), this.draw()));
      asked = true;
    };
    grid.addEventListener("scroll", later, { passive: true });
    new ResizeObserver(later).observe(grid);
    grid.addEventListener("click", (event) => {
      const at = event.target.closest("[data-at]");
      if (at) this.choose(...at.dataset.at.split(",").map(Number));
    });
    grid.addEventListener("keydown", (event) => this.key(event));
    this.layout();
  }

  // Shows what a search left, or all when it is null.
  show(found) {
    if (found && !this.found) this.before = new Set(this.open);
    if (!found && this.before) this.open = this.before;
    this.found = found;
    this.grid.scrollTo(0, 0);
    if (found) {
      const shown = this.model.units.filter((unit) => found.rows[unit.number] || found.columns[unit.number]);
      // What was asked for by name is unfolded, and what is little anyway.
      const named = (units) => found.anyName && units.some((unit) => found.from[unit.number] || found.to[unit.number]) &&
        !units.every((unit) => found.from[unit.number] && found.to[unit.number]);
      const open = this.model.groups.filter((group) => named(group.units) || (shown.length <= 40 && group.units.some((unit) => shown.includes(unit))));
      this.open = new Set(open.map((group) => group.number));
    }
    this.layout();
  }

  toggle(group) {
    if (!this.open.delete(group.number)) this.open.add(group.number);
    this.layout();
  }

  foldAll(unfold) {
    this.open = new Set(unfold ? this.model.groups.map((group) => group.number) : []);
    this.layout();
  }

  layout() {
    const lines = (keep) => this.model.groups.flatMap((group) => {
      const units = keep ? group.units.filter((unit) => keep[unit.number]) : group.units;
      if (!units.length) return [];
      const ends = units.length === group.units.length ? group.ends : [...new Set(units.flatMap((unit) => unit.ends))];
      // Where a namespace is one unit there is nothing to unfold.
      if (units[0].kind === "namespace") return [{ group, unit: units[0], ends, units }];
      const line = { group, ends, units, isOpen: this.open.has(group.number) };
      return line.isOpen ? [line, ...units.map((unit) => ({ group, unit, ends: unit.ends, units: [unit] }))] : [line];
    });
    this.rows = lines(this.found && this.found.rows);
    this.columns = lines(this.found && this.found.columns);
    this.width = this.columns.length <= FEW ? 66 : 28;
    this.cache = new Map();
    this.active = [Math.min(this.active[0], this.rows.length - 1), Math.min(this.active[1], this.columns.length - 1)];
    this.grid.setAttribute("aria-rowcount", this.rows.length + 1);
    this.grid.setAttribute("aria-colcount", this.columns.length + 1);
    this.draw();
  }

  cell(row, column) {
    const key = row * this.columns.length + column;
    let cell = this.cache.get(key);
    if (!cell) {
      const [from, to] = [this.rows[row], this.columns[column]];
      cell = from.unit && to.unit ? this.model.pair(from.unit, to.unit) : this.model.between(from.ends, to.ends);
      cell.off = this.isOff(cell, from, to);
      this.cache.set(key, cell);
    }
    return cell;
  }

  // Whether a cell is beside what the search asks for.
  isOff(cell, from, to) {
    if (!this.found) return false;
    const { passes, involved } = this.found;
    return !cell.cells.some((number) => passes[number]) ||
      !from.units.some((a) => to.units.some((b) => involved(a.number, b.number)));
  }

  draw() {
    const style = getComputedStyle(this.grid);
    const [side, head] = ["--side", "--head"].map((name) => parseInt(style.getPropertyValue(name), 10));
    const [width, height] = [side + this.columns.length * this.width, head + this.rows.length * HEIGHT];
    this.sizer.style.width = `${width}px`;
    this.sizer.style.height = `${height}px`;
    const { clientWidth, clientHeight } = this.grid;
    // What is drawn still holds the old place, although there may be less now.
    const scrollLeft = Math.max(0, Math.min(this.grid.scrollLeft, width - clientWidth));
    const scrollTop = Math.max(0, Math.min(this.grid.scrollTop, height - clientHeight));
    const span = (start, length, size, count) => [
      Math.max(0, Math.floor(start / size) - AHEAD), Math.min(count, Math.ceil((start + length) / size) + AHEAD)];
    const [firstRow, lastRow] = span(scrollTop, clientHeight - head, HEIGHT, this.rows.length);
    const [firstColumn, lastColumn] = span(scrollLeft, clientWidth - side, this.width, this.columns.length);
    this.hadFocus = this.hadFocus || this.grid.contains(document.activeElement);
    const parts = document.createDocumentFragment();
    const top = this.line("head", -1, 0, head);
    top.append(this.corner(side));
    for (let column = firstColumn; column < lastColumn; column++) {
      top.append(this.header(this.columns[column], -1, column, side + column * this.width));
    }
    parts.append(top);
    for (let row = firstRow; row < lastRow; row++) {
      const line = this.line("row", row, head + row * HEIGHT, HEIGHT);
      line.append(this.header(this.rows[row], row, -1, 0));
      for (let column = firstColumn; column < lastColumn; column++) {
        line.append(this.drawn(row, column, side + column * this.width));
      }
      parts.append(line);
    }
    if (!this.rows.length) parts.append(Object.assign(document.createElement("p"), { className: "empty", textContent: "Nobody and nothing of that name or port." }));
    this.sizer.replaceChildren(parts);
    this.grid.classList.toggle("narrow", this.width < 40);
    if (this.hadFocus) this.focus(true);
    this.hadFocus = false;
  }

  line(name, row, top, height) {
    const line = document.createElement("div");
    line.className = `line ${name}${row >= 0 && this.rows[row].isOpen ? " whole" : ""}`;
    line.setAttribute("role", "row");
    line.setAttribute("aria-rowindex", row + 2);
    if (row >= 0) line.style.top = `${top}px`;
    line.style.height = `${height}px`;
    return line;
  }

  corner(side) {
    const corner = document.createElement("div");
    corner.className = "corner";
    corner.setAttribute("role", "columnheader");
    corner.style.width = `${side}px`;
    corner.append(Object.assign(document.createElement("span"), { textContent: "from ↓  to →" }));
    return corner;
  }

  // The name of a row (column is -1) or of a column (row is -1).
  header(line, row, column, left) {
    const { group, unit } = line;
    const header = this.place(row, column, row < 0 ? "columnheader" : "rowheader");
    header.className = `name ${unit ? "unit" : "group"}`;
    const name = unit && unit.kind !== "namespace" ? unit.name : group.name;
    const state = unit && group.kind === 0 ? isolation(this.model, unit, row < 0 ? "ingress" : "egress") : null;
    if (unit) {
      const mark = document.createElement("i");
      if (state) mark.className = state.isolated === "no" ? "open" : state.isolated === "yes" ? "shut" : "half";
      header.append(mark);
    } else {
      header.setAttribute("aria-expanded", line.isOpen);
      header.append(Object.assign(document.createElement("i"), { className: line.isOpen ? "down" : "right" }));
    }
    header.append(Object.assign(document.createElement("span"), { textContent: name }));
    header.title = unit ? `${this.model.fullName(unit)}${state ? `: ${state.text}` : ""}` : `${name}: ${counted(line.units.length, unitWord(group))}`;
    if (row < 0) {
      header.style.left = `${left}px`;
      header.style.width = `${this.width}px`;
    }
    return header;
  }

  drawn(row, column, left) {
    const found = this.cell(row, column);
    const cell = this.place(row, column, "gridcell");
    const union = found.cells.length ? this.model.union(found.cells) : null;
    const all = union && trafficText(union) === "everything";
    cell.className = `cell ${found.state}${all ? " everything" : ""}${found.off ? " off" : ""}${found.open ? " unknown" : ""}`;
    cell.style.left = `${left}px`;
    cell.style.width = `${this.width}px`;
    const [from, to] = [this.rows[row], this.columns[column]].map((line) => lineName(this.model, line));
    const says = { unjudged: "no policy applies", none: "denied" }[found.state] || `${found.state === "some" ? "some: " : ""}${this.model.unionText(found.cells)}`;
    cell.setAttribute("aria-label", `${from} to ${to}: ${says}`);
    cell.title = `${from} → ${to}\n${says}`;
    const text = this.width >= 40 ? (union ? shortText(union) : "") : union ? (found.state === "some" ? "◐" : all ? "■" : "●") : "";
    cell.append(Object.assign(document.createElement("span"), { textContent: found.open ? `${text}?` : text }));
    return cell;
  }

  place(row, column, role) {
    const element = document.createElement("div");
    element.setAttribute("role", role);
    element.setAttribute("aria-colindex", column + 2);
    element.dataset.at = `${row},${column}`;
    element.tabIndex = this.active[0] === row && this.active[1] === column ? 0 : -1;
    if (this.chosen && this.chosen === this.keyOf(row, column)) element.setAttribute("aria-selected", "true");
    return element;
  }

  // Marks the cell of two units, where it is unfolded.
  point(from, to) {
    const at = (lines, unit) => lines.findIndex((line) => line.unit === unit);
    const [row, column] = [at(this.rows, from), at(this.columns, to)];
    this.chosen = row < 0 || column < 0 ? null : this.keyOf(row, column);
    if (!this.chosen || this.grid.offsetParent === null) return;
    this.active = [row, column];
    this.reveal(row, column);
    this.draw();
  }

  keyOf(row, column) {
    const key = (line) => (line ? `${line.group.number}.${line.unit ? line.unit.number : ""}` : "");
    return `${key(this.rows[row])}>${key(this.columns[column])}`;
  }

  choose(row, column) {
    this.active = [row, column];
    const line = row < 0 ? this.columns[column] : this.rows[row];
    if (row >= 0 && column >= 0) {
      this.chosen = this.keyOf(row, column);
      this.onCell(this.rows[row], this.columns[column]);
    } else if (line.unit) {
      this.chosen = this.keyOf(row, column);
      this.onUnit(line);
    } else {
      this.toggle(line.group);
      const again = (row < 0 ? this.columns : this.rows).findIndex((other) => other.group === line.group);
      this.active = row < 0 ? [-1, again] : [again, -1];
    }
    this.hadFocus = true;
    this.draw();
  }

  key(event) {
    const [row, column] = this.active;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / HEIGHT) - 6);
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageUp: [row - page, column], PageDown: [row + page, column], Home: [row, -1], End: [row, this.columns.length - 1],
    };
    if (event.key === "Enter" || event.key === " ") this.choose(row, column);
    else if (moves[event.key]) this.move(...moves[event.key]);
    else return;
    event.preventDefault();
  }

  move(row, column) {
    const limit = (value, count) => Math.max(-1, Math.min(value, count - 1));
    [row, column] = [limit(row, this.rows.length), limit(column, this.columns.length)];
    if (row < 0 && column < 0) return;
    this.active = [row, column];
    this.hadFocus = true;
    this.reveal(row, column);
    this.draw();
  }

  // Scrolls just so far that a cell is in sight.
  reveal(row, column) {
    const style = getComputedStyle(this.grid);
    const [side, head] = ["--side", "--head"].map((name) => parseInt(style.getPropertyValue(name), 10));
    const into = (axis, start, size, room) => {
      if (start < this.grid[axis]) this.grid[axis] = start;
      else if (start + size > this.grid[axis] + room) this.grid[axis] = start + size - room;
    };
    if (row >= 0) into("scrollTop", row * HEIGHT, HEIGHT, this.grid.clientHeight - head);
    if (column >= 0) into("scrollLeft", column * this.width, this.width, this.grid.clientWidth - side);
  }

  focus(stay) {
    const element = this.grid.querySelector(`[data-at="${this.active.join(",")}"]`);
    if (element) element.focus({ preventScroll: stay });
  }
}

function lineName(model, { group, unit }) {
  if (unit) return model.fullName(unit);
  return group.kind === 0 ? `namespace ${group.name}` : group.kind === 1 ? "nodes" : "outside";
}

function unitWord(group) {
  return group.kind === 0 ? "workload" : group.kind === 1 ? "node" : "network";
}

function counted(count, word) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : word.endsWith("y") ? `${word.slice(0, -1)}ies` : `${word}s`}`;
}

// Whether the pods of a unit are isolated in a direction, in words.
function isolation(model, unit, direction) {
  const profiles = unit.ends.map((end) => model.profile(end, direction));
  const closed = profiles.filter(Boolean);
  if (!closed.length) return { isolated: "no", text: `not isolated (${direction})` };
  const allowed = closed.some((profile) => profile.rules.length);
  const text = `isolated (${direction})${allowed ? "" : ", allowed none"}`;
  return closed.length < profiles.length ? { isolated: "some", text: `some pods ${text}` } : { isolated: "yes", text };
}
