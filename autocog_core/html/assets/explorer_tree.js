"use strict";

// The tree of the explorer, without its picture: which nodes are shown, and in what order.
// autocog_core/html/tree_data.py documents the data.

const AUTOCOG_MAX_SIBLINGS = 24;
const AUTOCOG_MAX_AT_START = 70;
const AUTOCOG_MAX_LEVELS_AT_START = 60;
const AUTOCOG_LEVELS_ABOVE = 20;
// Pruned siblings that are shown before the button "3 pruned".
const AUTOCOG_PRUNED_SHOWN = 5;
const AUTOCOG_LIKELY = 0.005;

class AutocogTree {
  constructor(data) {
    this.data = data;
    this.nodes = data.nodes;
    this.best = new Set(data.best);
    this.children = this.nodes.map(() => []);
    this.roots = [];
    this.levels = [];
    // The share of the probability that flows to a node: the product of the shares on its way.
    this.flows = [];
    this.nodes.forEach((node, index) => {
      const parent = node.p;
      (parent < 0 ? this.roots : this.children[parent]).push(index);
      this.levels.push(parent < 0 ? 1 : this.levels[parent] + 1);
      this.flows.push((parent < 0 ? 1 : this.flows[parent]) * this.share(index));
    });
    for (const siblings of [this.roots, ...this.children]) this.sortSiblings(siblings);
    this.opened = new Set();
    this.unfolded = new Set(); // parents whose pruned children are all shown
    this.isUnfolded = false; // whether those of all parents are
    this.limits = new Map(); // how many children of a parent are shown
    this.revealed = new Set(); // nodes that are shown whatever their rank
    this.start = -1; // the picture begins at this node; -1 at the first ones
    this.openAtStart();
  }

  // The probability of a node among its siblings; the lowest it can be, if only bounds are known.
  share(index) {
    const { q, b } = this.nodes[index];
    return q === undefined ? 1 : q !== null ? q : b ? b[0] : 0;
  }

  sortSiblings(siblings) {
    const isBranching = siblings.some((index) => this.nodes[index].q !== undefined);
    if (isBranching) siblings.sort((a, b) => this.share(b) - this.share(a) || a - b);
  }

  siblingsOf(index) {
    const parent = this.nodes[index].p;
    return parent < 0 ? this.roots : this.children[parent];
  }

  childrenOf(parent) {
    return parent < 0 ? this.roots : this.children[parent];
  }

  isFoldable(index) {
    return Boolean(this.nodes[index].c) && !this.children[index].length && !this.best.has(index);
  }

  // A text that is not evaluated leaves the path's log-probability as it is.
  pathLogprob(index) {
    for (let at = index; at >= 0; at = this.nodes[at].p) {
      if (this.nodes[at].l) return this.nodes[at].s;
    }
    return 0;
  }

  // Whether a model or a choice decided it; a fixed text is given.
  isDecided(index) {
    const { l, q, k } = this.nodes[index];
    return Boolean(l) || q !== undefined || ["choice", "beam", "sample"].includes(k);
  }

  label(index) {
    const node = this.nodes[index];
    return node.n || this.data.names[node.u];
  }

  text(index) {
    const node = this.nodes[index];
    return node.t === undefined ? node.x.join("") : node.t;
  }

  way(index) {
    const way = [];
    for (let at = index; at >= 0; at = this.nodes[at].p) way.push(at);
    return way.reverse();
  }

  // The best path, then the widest flows, until the picture is full.
  openAtStart() {
    let room = AUTOCOG_MAX_AT_START;
    const open = (index) => {
      if (this.opened.has(index) || !this.children[index].length) return;
      this.opened.add(index);
      room -= this.shownChildren(index).length;
    };
    this.data.best.slice(0, AUTOCOG_MAX_LEVELS_AT_START).forEach(open);
    const waiting = [...this.roots];
    for (let at = 0; at < waiting.length && room > 0; at++) {
      const index = waiting[at];
      if (this.levels[index] > AUTOCOG_MAX_LEVELS_AT_START) continue;
      open(index);
      waiting.push(...this.shownChildren(index).filter((child) => child >= 0));
    }
  }

  // What stands below a node when it is open: indices, then at most two buttons:
  // -1 opens the pruned ones, -2 shows more siblings.
  shownChildren(parent) {
    const all = this.childrenOf(parent);
    const isUnfolded = this.showsPruned(parent);
    let unfoldedPruned = isUnfolded ? Infinity : AUTOCOG_PRUNED_SHOWN;
    const candidates = all.filter((index) => {
      if (!this.isFoldable(index) || this.revealed.has(index)) return true;
      const isShown = unfoldedPruned > 0 &&
        (isUnfolded || this.share(index) >= AUTOCOG_LIKELY);
      if (isShown) unfoldedPruned -= 1;
      return isShown;
    });
    const limit = this.limits.get(parent) || AUTOCOG_MAX_SIBLINGS;
    // A node of the best path is shown wherever it stands.
    const shown = candidates.filter((index, rank) => rank < limit || this.best.has(index) ||
      this.opened.has(index) || this.revealed.has(index));
    const buttons = [];
    if (candidates.length < all.length) buttons.push(-1);
    if (shown.length < candidates.length) buttons.push(-2);
    return [...shown, ...buttons];
  }

  // Returns the text of such a button.
  buttonText(parent, kind) {
    const all = this.childrenOf(parent);
    const shown = this.shownChildren(parent).filter((index) => index >= 0);
    const pruned = all.filter((index) => this.isFoldable(index) && !shown.includes(index)).length;
    if (kind === -1) return `${pruned.toLocaleString("en")} pruned`;
    const hidden = all.length - shown.length - (this.showsPruned(parent) ? 0 : pruned);
    return `${Math.max(hidden, 1).toLocaleString("en")} more`;
  }

  press(parent, kind) {
    if (kind === -1) this.unfolded.add(parent);
    else this.limits.set(parent, (this.limits.get(parent) || AUTOCOG_MAX_SIBLINGS) * 3);
  }

  open(index) {
    // A chain of nodes without alternatives opens at once.
    for (let at = index, steps = 0; this.children[at].length && steps < 12; steps++) {
      this.opened.add(at);
      if (this.children[at].length > 1) break;
      at = this.children[at][0];
    }
  }

  close(index) {
    this.opened.delete(index);
  }

  // Opens the way to a node, so that it is shown.
  reveal(index) {
    const way = this.way(index);
    if (!this.isBelowStart(way) || way.length - this.startLevel() > AUTOCOG_MAX_LEVELS_AT_START) {
      this.startAbove(index);
    }
    for (const at of way) {
      this.revealed.add(at);
      if (at !== index) this.opened.add(at);
    }
  }

  startLevel() {
    return this.start < 0 ? 0 : this.levels[this.start];
  }

  isBelowStart(way) {
    return this.start < 0 || way.includes(this.start);
  }

  // Of a long way, the picture shows the end: it begins some levels above the node.
  startAbove(index) {
    const way = this.way(index);
    const isLong = way.length > AUTOCOG_MAX_LEVELS_AT_START;
    this.start = isLong ? way[way.length - AUTOCOG_LEVELS_ABOVE] : -1;
  }

  // All items that are shown, in the order of a depth-first walk.
  // An item: its id, its parent, its level, and its index or the kind of its button.
  items() {
    const items = [];
    const stack = [];
    const push = (parent, level) => {
      const shown = this.shownChildren(parent);
      shown.slice().reverse().forEach((index, back) => {
        const id = index >= 0 ? index : `${parent}/${index}`;
        const position = shown.length - back;
        stack.push({ id, index, parent, level, position, size: shown.length });
      });
    };
    if (this.start < 0) push(-1, 1);
    else stack.push({ id: this.start, index: this.start, parent: -1, level: 1, position: 1, size: 1 });
    while (stack.length) {
      const item = stack.pop();
      items.push(item);
      if (item.index >= 0 && this.opened.has(item.index)) push(item.index, item.level + 1);
    }
    return items;
  }

  // Opens the nodes with the widest flows until `room` items are shown; returns whether all are.
  openAll(room) {
    const waiting = this.start < 0 ? [...this.roots] : [this.start];
    for (let at = 0; at < waiting.length; at++) {
      if (waiting.length > room) return false;
      const index = waiting[at];
      if (this.children[index].length) this.opened.add(index);
      waiting.push(...this.shownChildren(index).filter((child) => child >= 0));
    }
    return true;
  }

  closeAll() {
    this.opened.clear();
    this.unfoldAll(false);
    this.limits.clear();
    this.revealed.clear();
    this.start = -1;
  }

  // Shows the pruned children of all nodes, also of those that are opened later.
  unfoldAll(isUnfolded) {
    this.isUnfolded = isUnfolded;
    this.unfolded.clear();
  }

  showsPruned(parent) {
    return this.isUnfolded || this.unfolded.has(parent);
  }

  // Indices of the nodes whose text, label or value has the words, in the order of the tree.
  search(words) {
    const wanted = words.toLowerCase();
    if (!wanted) return [];
    const found = [];
    this.nodes.forEach((node, index) => {
      const texts = [this.text(index), this.label(index), node.v || ""];
      if (texts.some((text) => text.toLowerCase().includes(wanted))) found.push(index);
    });
    return found;
  }
}
