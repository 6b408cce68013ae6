"use strict";

// The explorer of a thought tree: paths from left to right, drawn as far as they are opened.
// The other explorer_*.js come before this file.

const AUTOCOG_MAX_OPEN = 600;

// Draws a tree into an element. `tree` is the data that autocog_core/html/tree_data.py makes.
// Links to nodes begin with the element's id, or with "node"; a page whose link says something else
// has none.
function autocogExplorer(element, tree, hasLinks = true) {
  return new AutocogExplorer(element, new AutocogTree(tree), hasLinks);
}

class AutocogExplorer extends AutocogPicture {
  constructor(element, tree, hasLinks) {
    super(tree);
    this.anchor = hasLinks ? element.id || "node" : "";
    if (this.focused === null) {
      element.replaceChildren(autocogElement("p", { class: "dim" }, "The tree has no nodes."));
      return;
    }
    this.build(element);
    this.render();
    if (hasLinks) {
      this.followHash();
      window.addEventListener("hashchange", () => this.followHash());
    }
    new ResizeObserver(() => this.measureAnew()).observe(this.view);
  }

  build(element) {
    const search = new AutocogSearch(this.tree, (index) => this.goTo(index), () => this.focus());
    this.search = search;
    const [colors, colorsLabel] = autocogCheckbox("token colors", true,
      (isOn) => this.list.classList.toggle("plain", !isOn));
    const [pruned, prunedLabel] = autocogCheckbox("all pruned", false, (isOn) => {
      this.tree.unfoldAll(isOn);
      this.render();
    });
    Object.assign(this, { colors, pruned, help: autocogHelp() });
    this.earlier = autocogButton("← Earlier levels", () => this.goEarlier());
    const bar = autocogElement("div", { class: "explorer-bar" }, search.element,
      autocogButton("Open all", () => this.openAll()),
      autocogButton("Close all", () => this.closeAll()),
      autocogButton("Best path", () => this.goTo(this.tree.data.best.at(-1) ?? 0)),
      this.earlier, colorsLabel, prunedLabel,
      autocogButton("?", () => this.help.showModal(), { "aria-label": "Help: keys" }));
    this.note = autocogElement("p", { class: "dim", role: "status" });
    this.panel = autocogElement("aside", { class: "explorer-panel", "aria-label": "Details" },
      autocogOverview(this.tree, (index) => this.goTo(index)));
    this.hint = autocogElement("div", { class: "explorer-hint", "aria-hidden": "true" });
    element.classList.add("explorer");
    element.replaceChildren(bar, autocogLegend(), this.note,
      autocogElement("div", { class: "explorer-body" }, this.view, this.panel), this.hint, this.help);
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("pointerover", (event) => this.showHint(event.target));
    this.list.addEventListener("pointerleave", () => this.hint.classList.remove("shown"));
    this.view.addEventListener("scroll", () => this.hint.classList.remove("shown"));
  }

  change(id, action) {
    const before = this.places.get(id);
    action();
    this.render();
    // The node stays where it is on the screen.
    if (this.places.has(id)) this.view.scrollTop += this.places.get(id).top - before.top;
  }

  toggle(index) {
    if (!this.tree.children[index].length) return;
    const isOpen = this.tree.opened.has(index);
    this.change(index, () => isOpen ? this.tree.close(index) : this.tree.open(index));
  }

  press(item) {
    const { parent, index } = item;
    const before = new Set(this.items.map((each) => each.id));
    this.change(parent, () => this.tree.press(parent, index));
    const fresh = this.items.find((each) => each.parent === parent && !before.has(each.id));
    this.focus(fresh ? fresh.id : parent);
  }

  select(index) {
    const old = this.elements.get(this.selected);
    if (old) old.setAttribute("aria-selected", "false");
    this.selected = index;
    const element = this.elements.get(index);
    if (element) element.setAttribute("aria-selected", "true");
    autocogFillPanel(this.panel, this.tree, index, (at) => this.goTo(at), this.anchor);
    this.panel.scrollTop = 0;
    const hash = `#${this.anchor}-${index}`;
    if (!this.anchor) return;
    if (location.protocol !== "about:" && location.hash !== hash) {
      history.replaceState(null, "", hash);
    }
  }

  goTo(index) {
    this.tree.reveal(index);
    this.render();
    this.select(index);
    this.setFocused(index);
    this.scrollTo(index, "center");
  }

  followHash() {
    const match = location.hash.slice(1).match(/^(.*)-(\d+)$/);
    if (!match || match[1] !== this.anchor || !this.tree.nodes[match[2]]) return false;
    if (Number(match[2]) !== this.selected) this.goTo(Number(match[2]));
    this.view.scrollIntoView({ block: "nearest" });
    return true;
  }

  openAll() {
    const isWhole = this.tree.openAll(AUTOCOG_MAX_OPEN);
    this.note.textContent = isWhole ? "" :
      `The first ${AUTOCOG_MAX_OPEN} nodes are open; open others one by one.`;
    this.render();
  }

  closeAll() {
    this.tree.closeAll();
    this.note.textContent = "";
    this.pruned.checked = false;
    this.render();
    if (this.tree.roots.length) this.focus(this.tree.roots[0]);
  }

  setFocused(id) {
    const old = this.elements.get(this.focused);
    if (old) old.tabIndex = -1;
    this.focused = id;
    const element = this.elements.get(id);
    if (element) element.tabIndex = 0;
    return element;
  }

  focus(id = this.focused) {
    const element = this.setFocused(this.byId.has(id) ? id : this.items[0]?.id);
    if (!element) return;
    element.focus({ preventScroll: true });
    this.scrollTo(this.focused, "nearest");
  }

  scrollTo(id, block) {
    const { view } = this;
    const box = this.elements.get(id).getBoundingClientRect();
    const frame = view.getBoundingClientRect();
    const nearest = (start, end, from, to) => start < from + 20 ? start - from - 20 :
      end > to - 20 ? Math.min(end - to + 20, start - from - 20) : 0;
    const byX = nearest(box.left, box.right, frame.left, frame.right);
    let byY = nearest(box.top, box.bottom, frame.top, frame.bottom);
    if (block === "center") byY = box.top + box.height / 2 - frame.top - frame.height / 2;
    view.scrollBy(byX, byY);
  }

  onClick(event) {
    const element = event.target.closest("[data-id]");
    if (!element) return;
    const item = this.itemOf(element);
    if (item.index < 0) return this.press(item);
    if (event.target.closest(".cut")) {
      const isFull = this.full.has(item.index);
      if (isFull) this.full.delete(item.index);
      else this.full.add(item.index);
      this.change(item.index, () => this.redraw(item.index));
      return this.focus(item.id);
    }
    if (event.target.closest(".toggle")) this.toggle(item.index);
    else this.select(item.index);
    this.focus(item.id);
    return undefined;
  }

  itemOf(element) {
    const { id } = element.dataset;
    return this.byId.get(id.includes("/") ? id : Number(id));
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = this.byId.get(this.focused);
    const isDone = item && this.runKey(event.key, item);
    if (!isDone) return;
    event.preventDefault();
    if (document.activeElement.matches(".node")) this.showHint(document.activeElement);
  }

  runKey(key, item) {
    const keys = {
      ArrowRight: () => this.goRight(item),
      ArrowLeft: () => this.goLeft(item),
      ArrowUp: () => this.goAlong(item, -1),
      ArrowDown: () => this.goAlong(item, 1),
      Home: () => this.goHome(),
      End: () => this.tree.data.best.length && this.goToAndFocus(this.tree.data.best.at(-1)),
      Enter: () => item.index < 0 ? this.press(item) : this.select(item.index),
      " ": () => item.index < 0 ? this.press(item) : this.toggle(item.index),
      "/": () => this.search.input.focus(),
      "?": () => this.help.showModal(),
      n: () => this.search.step(1),
      N: () => this.search.step(-1),
      p: () => this.pruned.click(),
      t: () => this.colors.click(),
    };
    if (!(key in keys)) return false;
    keys[key]();
    return true;
  }

  // Of a long way, the picture may begin after the first node.
  goHome() {
    if (this.tree.start >= 0) {
      this.tree.startAbove(this.tree.roots[0]);
      this.render();
    }
    this.focus(this.items[0].id);
  }

  goToAndFocus(index) {
    this.goTo(index);
    this.focus(index);
  }

  goRight(item) {
    if (item.index < 0 || !this.tree.children[item.index].length) return;
    if (!this.tree.opened.has(item.index)) this.toggle(item.index);
    else this.focus(this.items.find((each) => each.parent === item.index).id);
  }

  goLeft(item) {
    if (item.index >= 0 && this.tree.opened.has(item.index)) this.toggle(item.index);
    else if (item.parent >= 0) this.focus(item.parent);
    else if (item.index === this.tree.start) this.goEarlier();
  }

  // Draws what is before the first node of the picture.
  goEarlier() {
    const before = this.tree.nodes[this.tree.start].p;
    this.tree.startAbove(before);
    this.tree.reveal(before);
    this.render();
    this.focus(before);
  }

  goAlong(item, by) {
    const column = this.items.filter((each) => each.level === item.level);
    const other = column[column.indexOf(item) + by];
    if (other) this.focus(other.id);
  }

  showHint(target) {
    const element = target.closest("[data-id]");
    if (!element || element.matches(".more, .given")) {
      this.hint.classList.remove("shown");
      return;
    }
    const index = Number(element.dataset.id);
    const token = target.closest("[data-token]");
    this.hint.textContent = token
      ? autocogTokenHint(this.tree, index, Number(token.dataset.token))
      : autocogNodeHint(this.tree, index);
    this.hint.classList.add("shown");
    const box = (token || element).getBoundingClientRect();
    const { offsetWidth, offsetHeight } = this.hint;
    const isBelow = box.bottom + offsetHeight + 12 < window.innerHeight;
    const left = Math.max(8, Math.min(box.left, window.innerWidth - offsetWidth - 8));
    const top = isBelow ? box.bottom + 6 : Math.max(8, box.top - offsetHeight - 6);
    this.hint.style.transform = `translate(${left}px, ${top}px)`;
  }
}
