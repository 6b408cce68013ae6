// The result: the choices as bars, the likeliest first, with their tokens, and the tree of tokens.

import { choiceTree } from "./choice_tree.js";
import {
  drawExplorer, logprobText, makeBar, makeButton, makeElement, makeTable, probText, tokenLevel,
} from "./explorer_parts.js";
import { quoted, tokenTexts, visible } from "./texts.js";

// Choices that are shown at once, and by each press of the button below them.
const MAX_SHOWN = 100;
const MAX_MORE = 1000;
const SCORE_FIELDS = {
  sum: "exclusive_logprob", mean: "mean_logprob", per_byte: "logprob_per_byte", pmi: "pmi",
};

// Shows a result. `promptText` is the root of the tree.
export function showResult(answer, tokenBytes, promptText) {
  const order = answer.scores.map((score, index) => ({ ...score, isBest: index === answer.index }));
  // Stable: of equally likely ones, the first. The best one may share its rounded number.
  order.sort((a, b) => b.isBest - a.isBest || b.prob - a.prob);
  const list = makeElement("ol", { class: "bars" });
  const more = makeButton("", () => addRows(MAX_MORE));
  const addRows = (count) => {
    const start = list.children.length;
    list.append(...order.slice(start, start + count).map(
      (score) => makeRow(score, answer, tokenBytes)));
    const hidden = order.length - list.children.length;
    more.textContent = `Show ${Math.min(hidden, MAX_MORE).toLocaleString("en")} more`;
    more.hidden = hidden === 0;
  };
  addRows(MAX_SHOWN);
  document.getElementById("scores").replaceChildren(list, more,
    ...notes(answer).map((text) => makeElement("p", { class: "dim" }, text)),
    ...warnings(answer).map((text) => makeElement("p", { class: "warning" }, text)));
  showTree(choiceTree(answer, promptText, tokenBytes));
}

export function clearResult() {
  document.getElementById("scores").replaceChildren();
  showTree(null);
}

function showTree(tree) {
  const section = document.getElementById("tree-section");
  // What is hidden has no sizes, and the explorer measures its boxes.
  section.hidden = !tree;
  const place = document.getElementById("tree");
  place.replaceChildren();
  if (tree) drawExplorer(place, tree, false);
}

function makeRow(score, answer, tokenBytes) {
  const texts = tokenTexts(score.tokens, tokenBytes);
  const hasNumbers = score.token_logprobs.length > 0;
  const facts = hasNumbers ? [`logprob ${logprobText(score.logprob)}`] : [];
  const field = SCORE_FIELDS[answer.norm];
  if (hasNumbers && score[field] !== score.logprob) {
    facts.push(`${field} ${logprobText(score[field] ?? null)}`);
  }
  const head = makeElement("div", { class: "bar-head" }, makeText(score, texts),
    makeElement("span", { class: "prob" }, probText(score.prob)));
  const row = makeElement("li", { class: score.isBest ? "best" : null }, head, makeBar(score.prob));
  if (score.value !== score.choice && score.value !== score.choice.trim()) {
    facts.unshift(`value ${quoted(score.value)}`);
  }
  if (!hasNumbers) return row;
  const count = score.token_logprobs.length;
  const details = makeElement("details", {},
    makeElement("summary", {}, `${facts.join(" · ")} · ${count} token${count === 1 ? "" : "s"}`));
  // Thousands of tables take a browser a minute: each is made when it is opened.
  details.addEventListener("toggle", () => details.append(makeTokens(score, texts)), { once: true });
  row.append(details);
  return row;
}

// The text of a choice with a color for each token.
function makeText(score, texts) {
  if (!texts || texts.length !== score.token_logprobs.length) {
    return makeElement("span", { class: "tokens mono" }, quoted(score.choice));
  }
  return makeElement("span", { class: "tokens mono" }, ...texts.map((text, at) => {
    const level = tokenLevel(score.token_logprobs[at]);
    return makeElement("span", { class: `token token-${level}` }, text);
  }));
}

function makeTokens(score, texts) {
  const headers = [["token", "text"], ["id", "number"], ["prob", "number"],
    ["logprob", "number"]];
  return makeTable("Tokens", headers, score.token_logprobs.map((logprob, at) => {
    const text = texts?.[at] === "" ? "part of a character" : texts ? JSON.stringify(texts[at]) : "";
    return [makeElement("span", { class: `mono token token-${tokenLevel(logprob)}` }, text),
      at < score.tokens.length ? String(score.tokens[at]) : "",
      probText(logprob === null ? 0 : Math.exp(logprob)), logprobText(logprob)];
  }));
}

function notes(answer) {
  const evaluated = answer.tokens_evaluated === null || answer.tokens_evaluated === undefined
    ? "" : `, ${answer.tokens_evaluated} tokens evaluated`;
  const all = [`entropy ${answer.entropy.toFixed(3)} nats, margin ${answer.margin.toFixed(4)}, ` +
    `boundary ${visible(answer.boundary)}${evaluated}`];
  if (answer.norm !== "sum") {
    const other = answer.unconditional_prompt;
    const gain = other === undefined ? "" : `, the gain over ${other ? quoted(other) : "BOS alone"}`;
    all.push(`ranked by ${visible(answer.norm)}${gain}`);
  }
  if (answer.boundary === "healed") {
    all.push(`healed: the end of the prompt, ${quoted(answer.healed_text)}, is scored with the ` +
      "choices");
  }
  if (answer.has_prefix_choices) {
    all.push("one choice begins another: exclusive_logprob is the log-probability of a choice " +
      "that does not continue to a longer one");
  }
  return all;
}

function warnings(answer) {
  const all = [];
  if (!answer.exact) {
    const reason = answer.reason || "the scores are not the model's own log-probabilities";
    all.push(`not exact (method ${visible(answer.method)}): ${visible(reason)}`);
  }
  if (answer.unseen_probability) {
    all.push(`probability that the server hides: up to ${probText(answer.unseen_probability)}`);
  }
  return all;
}
