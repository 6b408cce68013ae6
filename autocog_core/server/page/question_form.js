// The form: its fields as a question, and a question in its fields.

import { ChoicesEditor } from "./choices_editor.js";
import { makeElement } from "./explorer_parts.js";
import { EXAMPLE } from "./question.js";
import { unseenSigns, visible } from "./texts.js";

// Fields that hold a text or a word, by the name of their part of a question.
const FIELDS = {
  model: "model", prompt: "prompt", system: "system", user: "user", norm: "norm",
  unconditional: "unconditional", suffix: "suffix", suffixText: "suffix-text",
  boundary: "boundary",
};
const OPTIONS = ["norm", "suffix", "boundary"];

export class QuestionForm {
  // `onChange` is called after each change by the reader.
  constructor(onChange) {
    this.element = document.getElementById("question");
    this.fields = Object.fromEntries(
      Object.entries(FIELDS).map(([name, id]) => [name, document.getElementById(id)]));
    this.blank = document.getElementById("blank");
    this.note = document.getElementById("form-note");
    const change = () => {
      this.showParts();
      onChange();
    };
    this.editor = new ChoicesEditor(change);
    this.element.addEventListener("input", change);
  }

  get question() {
    const values = Object.entries(this.fields).map(([name, field]) => [name, field.value]);
    return { ...EXAMPLE, ...Object.fromEntries(values), mode: this.element.elements.mode.value,
      blank: this.blank.checked, choices: this.editor.choices };
  }

  set question(question) {
    for (const [name, field] of Object.entries(this.fields)) {
      if (name === "model") this.addModel(question.model);
      field.value = question[name] || (name === "model" ? this.firstModel : "");
    }
    this.element.elements.mode.value = question.mode;
    this.blank.checked = question.blank;
    this.editor.choices = question.choices;
    const isPlain = OPTIONS.every((name) => question[name] === EXAMPLE[name]);
    if (!isPlain) document.getElementById("options").open = true;
    this.showParts();
  }

  get firstModel() {
    return this.fields.model.options[0]?.value || "";
  }

  // Shows the models of the server, the default first.
  showModels(names) {
    const chosen = this.fields.model.value;
    this.fields.model.replaceChildren(...names.map(
      (name) => makeElement("option", { value: name }, visible(name))));
    this.addModel(chosen);
    this.fields.model.value = chosen || this.firstModel;
  }

  // A link may name a model that is not there; the server says so.
  addModel(name) {
    const { options } = this.fields.model;
    if (!name || [...options].some((option) => option.value === name)) return;
    options.add(makeElement("option", { value: name }, visible(name)));
  }

  showParts() {
    const { mode, norm, suffix, prompt, system, user, choices } = this.question;
    for (const part of this.element.querySelectorAll("[data-mode]")) {
      part.hidden = part.dataset.mode !== mode;
    }
    document.getElementById("unconditional-field").hidden = norm !== "pmi";
    document.getElementById("suffix-text-field").hidden = suffix !== "text";
    const texts = mode === "prompt" ? [prompt, ...choices] : [system, user, ...choices];
    const signs = unseenSigns(texts);
    this.note.textContent = signs.length
      ? `The texts have characters that a field does not show: ${signs.join(" ")}` : "";
  }
}
