"use strict";

// The bar above the explorer's picture: search, what is opened, colors, and help.

const AUTOCOG_KEYS = [
  ["→", "open, then go to the likeliest child"],
  ["←", "close, then go to the parent"],
  ["↑ ↓", "the node above or below in the same column"],
  ["Home, End", "the first node; the end of the best path"],
  ["Enter", "show the details"],
  ["Space", "open or close"],
  ["p", "show or fold the pruned branches"],
  ["t", "colors of tokens on or off"],
  ["/", "search; Enter for the next match, Shift+Enter for the previous"],
  ["n, N", "the next and the previous match"],
  ["Esc", "leave the search or this help"],
  ["?", "this help"],
];

function autocogCheckbox(text, isChecked, change) {
  const box = autocogElement("input", { type: "checkbox" });
  box.checked = isChecked;
  box.addEventListener("change", () => change(box.checked));
  return [box, autocogElement("label", { class: "check" }, box, ` ${text}`)];
}

function autocogButton(text, press, attributes) {
  const button = autocogElement("button", { type: "button", ...attributes }, text);
  button.addEventListener("click", press);
  return button;
}

function autocogLegend() {
  const limits = ["90%", "50%", "20%", "5%", "1%"];
  const tokens = autocogElement("span", { class: "legend" }, "token below ");
  limits.forEach((limit, at) => tokens.append(
    autocogElement("span", { class: `token token-${at + 1}` }, ` ${limit} `), " "));
  return autocogElement("p", { class: "explorer-legend dim" }, tokens,
    autocogElement("span", { class: "legend" },
      "width of a line: probability that flows through it; dashed: pruned; blue: the best path"));
}

function autocogHelp() {
  const rows = AUTOCOG_KEYS.flatMap(([keys, text]) => [
    autocogElement("dt", {}, autocogElement("kbd", {}, keys)), autocogElement("dd", {}, text)]);
  const dialog = autocogElement("dialog", { "aria-label": "Keys" },
    autocogElement("h2", {}, "Keys"), autocogElement("dl", { class: "facts" }, ...rows));
  dialog.append(autocogButton("Close", () => dialog.close()));
  return dialog;
}

// Search over all nodes. `show(index)` goes to a match.
class AutocogSearch {
  constructor(tree, show, leave) {
    this.tree = tree;
    this.show = show;
    this.found = [];
    this.at = -1;
    this.input = autocogElement("input", { type: "search", placeholder: "Search texts",
      "aria-label": "Search texts" });
    this.count = autocogElement("span", { class: "dim count", role: "status" });
    this.input.addEventListener("input", () => this.find());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") {
        this.input.value = "";
        this.find();
        leave();
      }
    });
    this.element = autocogElement("span", { class: "search" }, this.input,
      autocogButton("↑", () => this.step(-1), { "aria-label": "Previous match" }),
      autocogButton("↓", () => this.step(1), { "aria-label": "Next match" }), this.count);
  }

  find() {
    this.found = this.tree.search(this.input.value);
    this.at = -1;
    this.say();
  }

  step(by) {
    if (!this.found.length) return;
    const start = this.at < 0 && by < 0 ? 0 : this.at;
    this.at = (start + by + this.found.length) % this.found.length;
    this.say();
    this.show(this.found[this.at]);
  }

  say() {
    const all = this.found.length.toLocaleString("en");
    const isEmpty = !this.input.value;
    this.count.textContent = isEmpty ? "" : this.at < 0 ? `${all} found` : `${this.at + 1} of ${all}`;
  }
}
