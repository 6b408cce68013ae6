"use strict";

// The picture of the explorer: boxes for the nodes that are shown, buttons, and edges.

const AUTOCOG_BOX_LENGTH = 150;

class AutocogPicture {
  constructor(tree) {
    this.tree = tree;
    this.elements = new Map(); // by the id of their item
    this.sizes = new Map();
    this.places = new Map();
    this.full = new Set(); // nodes whose long text is shown
    this.focused = tree.roots.length ? tree.roots[0] : null;
    this.selected = null;
    this.canvas = autocogElement("div", { class: "explorer-canvas" });
    this.canvas.innerHTML = '<svg class="explorer-edges" aria-hidden="true"></svg>';
    this.svg = this.canvas.firstChild;
    this.list = autocogElement("div", { role: "tree", "aria-label": "Thought tree" });
    this.canvas.append(this.list);
    this.view = autocogElement("div", { class: "explorer-view" }, this.canvas);
  }

  render() {
    const items = this.tree.items();
    const hadFocus = this.list.contains(document.activeElement);
    this.items = items;
    this.byId = new Map(items.map((item) => [item.id, item]));
    for (const [id, element] of this.elements) {
      if (this.byId.has(id)) continue;
      element.remove();
      this.elements.delete(id);
      this.sizes.delete(id);
    }
    if (!this.byId.has(this.focused)) this.focused = items.length ? items[0].id : null;
    let next = this.list.firstChild;
    for (const item of items) {
      let element = this.elements.get(item.id);
      if (!element) {
        element = item.index >= 0 ? this.makeNode(item) : this.makeButton(item);
        this.elements.set(item.id, element);
      }
      this.describe(element, item);
      if (element === next) next = next.nextSibling;
      else this.list.insertBefore(element, next);
    }
    this.place();
    if (hadFocus && !this.list.contains(document.activeElement)) this.focus();
  }

  // Every size is read once, before anything moves: the browser computes one layout.
  place() {
    for (const item of this.items) {
      if (this.sizes.has(item.id)) continue;
      const { offsetWidth, offsetHeight } = this.elements.get(item.id);
      this.sizes.set(item.id, { width: offsetWidth, height: offsetHeight });
    }
    const space = parseFloat(getComputedStyle(this.canvas).getPropertyValue("--space"));
    const { places, width, height } = autocogLayout(this.items, this.sizes, space, 10);
    this.places = places;
    for (const [id, { left, top }] of places) {
      this.elements.get(id).style.transform = `translate(${left}px, ${top}px)`;
    }
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.drawEdges(space, width, height);
  }

  drawEdges(space, width, height) {
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const edges = this.items.filter((item) => item.parent >= 0).map((item) => {
      const edge = document.createElementNS(this.svg.namespaceURI, "path");
      const [parent, child] = [this.places.get(item.parent), this.places.get(item.id)];
      edge.setAttribute("d", autocogEdgePath(parent, child, space));
      const isNode = item.index >= 0;
      const isBest = isNode && this.tree.best.has(item.index);
      const isPruned = !isNode || Boolean(this.tree.nodes[item.index].c);
      edge.setAttribute("class", isBest ? "best" : isPruned ? "pruned" : "");
      edge.style.strokeWidth = autocogEdgeWidth(isNode ? this.tree.flows[item.index] : 0);
      return [isBest, edge];
    });
    // The best path is above the others.
    edges.sort((a, b) => a[0] - b[0]);
    this.svg.replaceChildren(...edges.map((each) => each[1]));
    this.earlier.hidden = this.tree.start < 0;
  }

  describe(element, item) {
    element.setAttribute("aria-level", item.level + this.tree.startLevel());
    element.setAttribute("aria-posinset", item.position);
    element.setAttribute("aria-setsize", item.size);
    element.tabIndex = item.id === this.focused ? 0 : -1;
    if (item.index < 0) return;
    element.setAttribute("aria-selected", item.index === this.selected);
    const count = this.tree.children[item.index].length;
    if (!count) return;
    const isOpen = this.tree.opened.has(item.index);
    element.setAttribute("aria-expanded", isOpen);
    element.querySelector(".toggle").textContent = isOpen ? "−" : `+${count.toLocaleString("en")}`;
  }

  makeNode(item) {
    const { tree } = this;
    const index = item.index;
    const node = tree.nodes[index];
    const share = autocogShare(tree, index);
    const text = autocogElement("div", { class: "words" });
    const box = autocogElement("div", { role: "treeitem", class: "node", "data-id": index },
      autocogElement("div", { class: "head" },
        autocogElement("span", { class: "label" }, tree.label(index)),
        autocogElement("span", { class: "share" }, share)),
      share ? autocogBar(tree.share(index)) : null, ...this.makeOther(index), text,
      this.makeBadges(node));
    const isFull = this.full.has(index);
    text.append(autocogNodeText(tree, index, isFull ? Infinity : AUTOCOG_BOX_LENGTH));
    const left = tree.text(index).length - AUTOCOG_BOX_LENGTH;
    if (left > 0) {
      const more = isFull ? "shorten" : `${left.toLocaleString("en")} more characters`;
      text.append(" ", autocogElement("span", { class: "cut", "aria-hidden": "true" }, more));
    }
    if (tree.best.has(index)) box.classList.add("best");
    if (tree.data.other?.nodes[index]?.[3]) box.classList.add("differs");
    if (node.c) box.classList.add("pruned");
    if (!tree.isDecided(index)) box.classList.add("given");
    if (tree.children[index].length) {
      box.append(autocogElement("span", { class: "toggle", "aria-hidden": "true" }));
    }
    const spoken = [`${tree.label(index)}: ${autocogShorten(tree.text(index), 100)}`,
      share && `probability ${share}`, node.c && `pruned by ${node.c}`].filter(Boolean);
    box.setAttribute("aria-label", spoken.join(", "));
    return box;
  }

  // A second bar, for the share in the other tree, if two trees are compared.
  makeOther(index) {
    const text = autocogOther(this.tree, index);
    if (!text) return [];
    const bar = autocogBar(this.tree.data.other.nodes[index][0] || 0);
    bar.classList.add("other");
    return [autocogElement("div", { class: "badges" }, text), bar];
  }

  makeBadges(node) {
    const texts = [node.c && `pruned: ${node.c}`, node.e !== undefined && "not exact",
      node.g && "end of a path"].filter(Boolean);
    if (!texts.length) return null;
    return autocogElement("div", { class: "badges" }, texts.join(" · "));
  }

  makeButton(item) {
    const text = this.tree.buttonText(item.parent, item.index);
    return autocogElement("div", { role: "treeitem", class: "more", "data-id": item.id,
      "aria-label": `${text}: show` }, autocogElement("span", {}, `+ ${text}`));
  }

  // Draws a node again, whose box may have another height.
  redraw(id) {
    this.elements.get(id).remove();
    this.elements.delete(id);
    this.sizes.delete(id);
    this.render();
  }

  measureAnew() {
    const width = this.view.clientWidth;
    // What is hidden has no sizes.
    if (width === 0 || width === this.lastWidth) return;
    this.lastWidth = width;
    this.sizes.clear();
    this.place();
  }
}
