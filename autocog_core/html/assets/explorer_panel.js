"use strict";

// What the explorer says of a node: its text in colors, its numbers, and the panel of details.

const AUTOCOG_PRUNED = {
  width: "others are likelier, and the action follows only so many (width)",
  threshold: "its probability is below the action's threshold",
  duplicate: "another branch has the same text",
  max_visits: "the next action has no visits left (max_visits)",
  budget: "the budget of the run was spent",
  incomplete: "the text ended before it met its constraint",
};
const AUTOCOG_MAX_ROWS = 200;
// Of more lines, the signs at their ends have no color of their own.
const AUTOCOG_MAX_SIGNS = 1000;

function autocogElement(tag, attributes, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...content.filter((part) => part !== null && part !== undefined));
  return element;
}

function autocogProb(prob) {
  if (prob === null || prob === undefined) return "unknown";
  return prob > 0 && prob < 0.00005 ? "<.0001" : prob.toFixed(4);
}

function autocogLogprob(logprob) {
  return logprob === null ? "-inf" : logprob.toFixed(3);
}

// The color of a token: 0 for a likely one, 5 for an unlikely one. tokens.py has the same limits.
function autocogTokenLevel(logprob) {
  const prob = logprob === null ? 0 : Math.exp(logprob);
  return [0.9, 0.5, 0.2, 0.05, 0.01].filter((limit) => prob < limit).length;
}

// A text with a sign for each end of a line, and for blanks that are all of it.
function autocogTextParts(text, isWhole) {
  const lines = (isWhole && !text.trim() ? text.replace(/ /g, "␣") : text).split("\n");
  if (lines.length > AUTOCOG_MAX_SIGNS) return [lines.join("↵\n")];
  return lines.flatMap((line, at) => at < lines.length - 1
    ? [line, autocogElement("span", { class: "line-end" }, "↵"), "\n"] : [line]);
}

// The place of a cut: not in the middle of a character.
function autocogCut(text, at) {
  return /[\udc00-\udfff]/.test(text[at] || "") && /[\ud800-\udbff]/.test(text[at - 1] || "")
    ? at - 1 : at;
}

function autocogShorten(text, length) {
  if (text.length <= length) return text;
  const tail = Math.floor(length / 3);
  const [head, rest] = [length - tail, text.length - tail].map((at) => autocogCut(text, at));
  return `${text.slice(0, head)} … ${text.slice(rest)}`;
}

// The text of a node with a color for each token; at most `length` characters.
function autocogNodeText(tree, index, length) {
  const node = tree.nodes[index];
  const box = autocogElement("span", { class: "tokens" });
  const hasNumbers = node.l && node.x && node.l.length === node.x.length;
  if (!tree.text(index)) {
    box.append(autocogElement("span", { class: "dim" }, "(no text)"));
    return box;
  }
  if (!hasNumbers) {
    box.append(...autocogTextParts(autocogShorten(tree.text(index), length), true));
    return box;
  }
  let room = length;
  node.x.forEach((piece, at) => {
    if (room <= 0) return;
    room -= piece.length;
    const shown = room < 0 ? `${piece.slice(0, autocogCut(piece, piece.length + room))}…` : piece;
    const level = autocogTokenLevel(node.l[at]);
    const token = autocogElement("span", { class: `token token-${level}`, "data-token": at });
    token.append(...autocogTextParts(shown, node.x.length === 1));
    box.append(token);
  });
  return box;
}

function autocogTokenHint(tree, index, at) {
  const node = tree.nodes[index];
  const lines = [
    `token ${JSON.stringify(node.x ? node.x[at] : "")} (id ${node.i[at]})`,
    `probability ${autocogProb(Math.exp(node.l[at] === null ? -Infinity : node.l[at]))}`,
    `log-probability ${autocogLogprob(node.l[at])}`,
  ];
  if (node.a) lines.push(`allowed mass ${autocogProb(Math.exp(node.a[at]))}`);
  return lines.join("\n");
}

function autocogNodeHint(tree, index) {
  return autocogFacts(tree, index).slice(0, 6).map(([name, text]) => `${name}: ${text}`).join("\n");
}

// The probability of a node among its siblings, as text; empty without alternatives.
function autocogShare(tree, index) {
  const node = tree.nodes[index];
  if (node.q === null) {
    return node.b ? `${autocogProb(node.b[0])} to ${autocogProb(node.b[1])}` : "unknown";
  }
  if (node.q !== undefined) return autocogProb(node.q);
  // A text, or a decision without alternatives.
  return tree.siblingsOf(index).length > 1 ? autocogProb(1) : "";
}

// The share of a node in the tree that this one is compared with, as text; "" without one.
function autocogOther(tree, index) {
  const other = tree.data.other && tree.data.other.nodes[index];
  if (!other) return "";
  const [share, isThere, isPick] = other;
  if (!isThere) return `not in the ${tree.data.other.name} tree`;
  return `${tree.data.other.name}: ${autocogProb(share)}${isPick ? ", picked" : ""}`;
}

function autocogFacts(tree, index) {
  const node = tree.nodes[index];
  const facts = [];
  const share = autocogShare(tree, index);
  const error = node.r ? ` ± ${autocogProb(node.r)} (standard error)` : "";
  if (share) facts.push(["probability among its siblings", share + error]);
  if (autocogOther(tree, index)) facts.push(["in the other tree", autocogOther(tree, index)]);
  if (node.l) {
    const sum = node.l.includes(null) ? null : node.l.reduce((a, b) => a + b, 0);
    const prob = autocogProb(sum === null ? 0 : Math.exp(sum));
    facts.push(["log-probability",
      `${autocogLogprob(sum)} of ${node.l.length} tokens (probability ${prob})`]);
    facts.push(["of the path up to here", autocogLogprob(node.s)]);
  }
  if (node.a) {
    const mass = node.a.reduce((a, b) => a + b, 0);
    facts.push(["allowed mass", `${autocogProb(Math.exp(mass))}, what the constraint left`]);
  }
  facts.push(["probability that flows here", autocogProb(tree.flows[index])]);
  if (node.c) facts.push(["pruned", `${node.c}: ${AUTOCOG_PRUNED[node.c] || ""}`]);
  if (node.e !== undefined) facts.push(["not exact", tree.data.reasons[node.e]]);
  else if (tree.isDecided(index)) facts.push(["exact", "yes: the model's own numbers"]);
  if (node.f) facts.push(["ended by", node.f]);
  if (node.g) facts.push(["path", "complete: the program ends here"]);
  if (node.v !== undefined) facts.push(["value", node.v]);
  if (node.n && node.n !== tree.data.names[node.u]) facts.push(["action", tree.data.names[node.u]]);
  if (node.x && node.t !== undefined) {
    facts.push(["text", `${JSON.stringify(node.t)}; the tokens also hold what is beside it`]);
  }
  facts.push(["kind", node.k || "unknown"]);
  if (node.m !== undefined) facts.push(["model", tree.data.models[node.m]]);
  return facts;
}

function autocogFactsList(facts) {
  const list = autocogElement("dl", { class: "facts" });
  for (const [name, text] of facts) {
    list.append(autocogElement("dt", {}, name), autocogElement("dd", {}, text));
  }
  return list;
}

function autocogTable(caption, headers, rows) {
  const head = headers.map(([name, kind]) =>
    autocogElement("th", { class: kind, scope: "col" }, name));
  const body = rows.slice(0, AUTOCOG_MAX_ROWS).map((cells) => autocogElement("tr", {}, ...cells.map(
    (cell, at) => autocogElement("td", { class: headers[at][1] }, cell))));
  const table = autocogElement("table", {},
    autocogElement("thead", {}, autocogElement("tr", {}, ...head)),
    autocogElement("tbody", {}, ...body));
  const left = rows.length - AUTOCOG_MAX_ROWS;
  const more = left > 0 ? autocogElement("p", { class: "dim" }, `and ${left} more`) : null;
  const box = autocogElement("div", { class: "scroll", tabindex: 0, role: "group",
    "aria-label": caption }, table);
  return autocogElement("section", {}, autocogElement("h3", {}, caption), box, more);
}

function autocogTokensTable(tree, index) {
  const { i, l, x, a } = tree.nodes[index];
  const headers = [["token", "text"], ["id", "number"], ["prob", "number"], ["logprob", "number"]];
  if (a) headers.push(["allowed mass", "number"]);
  const rows = (l || []).map((logprob, at) => {
    const shown = x ? JSON.stringify(x[at]) : "";
    const token = autocogElement("span", { class: `token token-${autocogTokenLevel(logprob)}` },
      x && x[at] === "" ? "part of a character" : shown);
    const prob = autocogProb(logprob === null ? 0 : Math.exp(logprob));
    const row = [token, i.length > at ? String(i[at]) : "", prob, autocogLogprob(logprob)];
    return a ? [...row, autocogProb(Math.exp(a[at]))] : row;
  });
  return rows.length ? autocogTable("Tokens", headers, rows) : null;
}

function autocogBar(fraction) {
  const bar = autocogElement("span", { class: "bar" }, autocogElement("span"));
  bar.firstChild.style.width = `${100 * fraction}%`;
  return bar;
}

function autocogNodeButton(tree, index, choose, length) {
  const shown = JSON.stringify(autocogShorten(tree.text(index), length));
  const button = autocogElement("button", { class: "link", type: "button" }, shown);
  button.addEventListener("click", () => choose(index));
  return button;
}

function autocogSiblings(tree, index, choose) {
  const siblings = tree.siblingsOf(index);
  if (siblings.length < 2) return null;
  const rows = siblings.map((each) => {
    const node = tree.nodes[each];
    const text = each === index
      ? autocogElement("strong", {}, JSON.stringify(autocogShorten(tree.text(each), 60)))
      : autocogNodeButton(tree, each, choose, 60);
    const sum = node.l && !node.l.includes(null) ? node.l.reduce((a, b) => a + b, 0) : null;
    return [text, autocogBar(tree.share(each)), autocogShare(tree, each),
      node.l ? autocogLogprob(sum) : "", node.c || ""];
  });
  const headers = [["text", "text"], ["", "bar-cell"], ["prob", "number"], ["logprob", "number"],
    ["pruned", "dim"]];
  return autocogTable(`Siblings (${siblings.length.toLocaleString("en")})`, headers, rows);
}

// What the panel shows before a node is chosen: the best path.
function autocogOverview(tree, choose) {
  const decided = tree.data.best.filter((index) => tree.isDecided(index));
  if (!decided.length) return autocogElement("p", { class: "dim" }, "Choose a node.");
  const rows = decided.map((index) => [tree.label(index),
    autocogNodeButton(tree, index, choose, 60), autocogShare(tree, index)]);
  const last = tree.data.best.at(-1);
  const facts = [["log-probability", autocogLogprob(tree.pathLogprob(last))],
    ["probability that flows here", autocogProb(tree.flows[last])]];
  const box = autocogElement("div", {}, autocogTable("Best path",
    [["decided", "text"], ["", "text"], ["prob", "number"]], rows), autocogFactsList(facts),
  autocogElement("p", { class: "dim" }, "Choose a node to see its numbers, its siblings and tokens."));
  return box;
}

// Fills the panel with the details of a node.
function autocogFillPanel(panel, tree, index, choose, anchor) {
  const node = tree.nodes[index];
  const way = tree.way(index).slice(0, -1).slice(-30);
  const path = autocogElement("p", { class: "way" });
  for (const at of way) path.append(autocogNodeButton(tree, at, choose, 24), " → ");
  path.append(autocogElement("strong", {}, tree.label(index)));
  // It scrolls, so it has the focus for the keyboard.
  const text = autocogElement("pre", { tabindex: 0, role: "group", "aria-label": "Text" },
    autocogNodeText(tree, index, Infinity));
  const isUnknown = node.l && !node.x;
  panel.replaceChildren(...[
    autocogElement("h2", {}, tree.label(index)),
    text,
    isUnknown ? autocogElement("p", { class: "dim" },
      "The texts of the tokens are not known: give to_html the model.") : null,
    autocogFactsList(autocogFacts(tree, index)),
    autocogSiblings(tree, index, choose),
    autocogTokensTable(tree, index),
    autocogElement("h3", {}, "Path"),
    path,
    anchor ? autocogElement("p", {}, autocogElement("a", { href: `#${anchor}-${index}` },
      `Link to this node (#${anchor}-${index})`)) : null,
  ].filter(Boolean));
}
