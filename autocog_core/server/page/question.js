// A question: what the form holds, what its link holds, and what the server is asked.

// A longer link is not made, and not read.
export const MAX_LINK = 32768;
export const MAX_CHOICES = 10000;

export const EXAMPLE = Object.freeze({
  model: "",
  mode: "prompt",
  prompt: "Question: Is water wet?\nAnswer:",
  system: "",
  user: "Is water wet? Answer with one word.",
  choices: Object.freeze(["Yes", "No", "Sometimes"]),
  blank: true,
  norm: "sum",
  unconditional: "",
  suffix: "none",
  suffixText: "",
  boundary: "heal",
});

const ALLOWED = {
  mode: ["prompt", "chat"],
  norm: ["sum", "mean", "per_byte", "pmi"],
  suffix: ["none", "eos", "text"],
  boundary: ["heal", "strict"],
};

function isValid(name, value) {
  if (ALLOWED[name]) return ALLOWED[name].includes(value);
  if (name !== "choices") return typeof value === typeof EXAMPLE[name];
  return Array.isArray(value) && value.length <= MAX_CHOICES &&
    value.every((choice) => typeof choice === "string");
}

// A choice is one line of the form.
export function splitLines(text) {
  return text.split(/\r\n|\r|\n/);
}

// Returns the link of a question, which holds what differs from the example; "" if it is too long.
export function linkOf(question) {
  const names = Object.keys(EXAMPLE).filter(
    (name) => JSON.stringify(question[name]) !== JSON.stringify(EXAMPLE[name]));
  const changed = Object.fromEntries(names.map((name) => [name, question[name]]));
  const bytes = new TextEncoder().encode(JSON.stringify(changed));
  if (bytes.length > MAX_LINK) return "";
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const link = `#${btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`;
  return link.length > MAX_LINK ? "" : link;
}

// Returns the question of a link; the example without one. An error says what is wrong with it.
export function questionOf(link) {
  if (link.length <= 1) return EXAMPLE;
  if (link.length > MAX_LINK) throw new Error("The link is too long; the form shows an example.");
  let changed;
  try {
    const binary = atob(link.slice(1).replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    changed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    changed = null;
  }
  const isObject = changed !== null && typeof changed === "object" && !Array.isArray(changed);
  const isKnown = ([name, value]) => Object.hasOwn(EXAMPLE, name) && isValid(name, value);
  if (!isObject || !Object.entries(changed).every(isKnown)) {
    throw new Error("The link is damaged; the form shows an example.");
  }
  const question = { ...EXAMPLE, ...changed };
  return { ...question, choices: question.choices.flatMap(splitLines) };
}

// Returns the choices as they are scored; empty lines are none. Two blanks are not what is meant.
export function scoredChoices(question) {
  const choices = question.choices.filter((choice) => choice !== "");
  const addsBlank = question.mode === "prompt" && question.blank && !/\s$/.test(question.prompt);
  return choices.map((choice) => addsBlank && !/^\s/.test(choice) ? ` ${choice}` : choice);
}

// Returns the body of `POST /v1/choose`. What is the server's default is left out.
export function requestBody(question) {
  const body = { choices: scoredChoices(question) };
  if (question.model) body.model = question.model;
  if (question.mode === "prompt") {
    body.prompt = question.prompt;
  } else {
    const system = question.system ? [{ role: "system", content: question.system }] : [];
    body.messages = [...system, { role: "user", content: question.user }];
  }
  if (question.norm !== "sum") body.norm = question.norm;
  if (question.norm === "pmi" && question.unconditional) {
    body.unconditional_prompt = question.unconditional;
  }
  if (question.suffix === "eos") body.suffix = { eos: true };
  if (question.suffix === "text" && question.suffixText) body.suffix = question.suffixText;
  if (question.boundary !== "heal") body.boundary = question.boundary;
  return body;
}
