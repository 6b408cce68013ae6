// The choices of the form: a field for each, or all as lines of one field.

import { makeButton, makeElement } from "./explorer_parts.js";
import { splitLines } from "./question.js";

// More choices are lines from the start.
const MAX_ROWS = 50;

export class ChoicesEditor {
  // `onChange` is called after a choice is added or removed. What is typed is an event of the form.
  constructor(onChange) {
    this.onChange = onChange;
    this.rows = document.getElementById("choice-rows");
    this.lines = document.getElementById("choice-lines");
    this.addButton = document.getElementById("add-choice");
    this.linesButton = document.getElementById("edit-lines");
    this.addButton.addEventListener("click", () => this.addRow(this.rows.lastElementChild));
    this.linesButton.addEventListener("click", () => this.show(this.choices, !this.isLines));
    this.rows.addEventListener("keydown", (event) => this.onKey(event));
    this.rows.addEventListener("paste", (event) => this.onPaste(event));
    this.isLines = false;
  }

  get choices() {
    return this.isLines ? splitLines(this.lines.value).filter((line) => line !== "")
      : this.inputs().map((each) => each.value);
  }

  set choices(choices) {
    this.show(choices, this.isLines || choices.length > MAX_ROWS);
  }

  show(choices, asLines) {
    const isLines = asLines || choices.length > MAX_ROWS;
    this.isLines = isLines;
    this.lines.hidden = !isLines;
    this.rows.hidden = this.addButton.hidden = isLines;
    this.linesButton.setAttribute("aria-pressed", isLines);
    this.lines.value = isLines ? choices.join("\n") : "";
    this.rows.replaceChildren(...(isLines ? [] : choices.map((choice) => this.makeRow(choice))));
    this.numberRows();
  }

  inputs() {
    return [...this.rows.querySelectorAll("input")];
  }

  makeRow(choice) {
    const input = makeElement("input", { type: "text", dir: "auto", autocomplete: "off",
      spellcheck: "false" });
    input.value = choice;
    const row = makeElement("li", {}, input, makeButton("×", () => this.removeRow(row)));
    return row;
  }

  numberRows() {
    [...this.rows.children].forEach((row, at) => {
      row.firstChild.setAttribute("aria-label", `Choice ${at + 1}`);
      row.lastChild.setAttribute("aria-label", `Remove choice ${at + 1}`);
    });
  }

  addRow(after, choice = "") {
    const row = this.makeRow(choice);
    if (after) after.after(row);
    else this.rows.append(row);
    this.numberRows();
    row.firstChild.focus();
    this.onChange();
    return row;
  }

  removeRow(row) {
    const neighbor = row.previousElementSibling || row.nextElementSibling;
    row.remove();
    this.numberRows();
    (neighbor ? neighbor.firstChild : this.addButton).focus();
    this.onChange();
  }

  onKey(event) {
    const row = event.target.closest("li");
    if (event.isComposing || !event.target.matches("input")) return;
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.addRow(row);
    } else if (event.key === "Backspace" && !event.target.value && this.rows.children.length > 1) {
      event.preventDefault();
      this.removeRow(row);
    }
  }

  // Each pasted line is a choice; the first goes into the field, at the caret.
  onPaste(event) {
    const [first, ...others] = splitLines(event.clipboardData.getData("text/plain"));
    if (!others.length) return;
    event.preventDefault();
    const input = event.target;
    input.setRangeText(first, input.selectionStart, input.selectionEnd, "end");
    const at = this.inputs().indexOf(input) + 1;
    const choices = this.choices;
    const pasted = others.filter((line) => line !== "");
    this.show([...choices.slice(0, at), ...pasted, ...choices.slice(at)], false);
    (this.inputs()[at + pasted.length - 1] || this.lines).focus();
    this.onChange();
  }
}
