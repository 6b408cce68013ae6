// The tokens of choices as a tree, in the form that the explorer reads
// (autocog_core/html/tree_data.py documents it).

import { tokenTexts, visible } from "./texts.js";

const [PROMPT, TOKENS, CHOICE, END] = [0, 1, 2, 3];
const NAMES = ["prompt", "tokens", "choice", "the choice ends here"];

// A part of the tree: consecutive tokens, and what follows them.
function makePart(tokens, logprobs) {
  return { tokens, logprobs, next: new Map(), ending: null, prob: 0 };
}

// Returns all texts that were scored: those of a choice with several texts are apart.
function scoredTexts(answer) {
  return answer.scores.flatMap((score, index) => (score.texts || [score]).map(
    (text) => ({ ...text, isBest: index === answer.index })));
}

// Puts the tokens of each text into a tree, one part for each token.
function joinBeginnings(texts) {
  const root = makePart([], []);
  for (const text of texts) {
    let at = root;
    at.prob += text.prob;
    text.tokens.forEach((token, place) => {
      if (!at.next.has(token)) at.next.set(token, makePart([token], [text.token_logprobs[place]]));
      at = at.next.get(token);
      at.prob += text.prob;
    });
    at.ending = text;
  }
  return root;
}

// Makes one part of tokens that always follow each other.
function mergeChain(part) {
  let at = part;
  while (at.next.size === 1 && at.ending === null) {
    const [child] = at.next.values();
    at = { ...child, tokens: [...at.tokens, ...child.tokens],
      logprobs: [...at.logprobs, ...child.logprobs] };
  }
  return at;
}

// Returns the data of a node, and adds it to the others.
function addPart(nodes, part, parent, above, tokenBytes) {
  const { prob, sum, tokens: tokensAbove } = above;
  const tokens = [...tokensAbove, ...part.tokens];
  const isLeaf = !part.next.size;
  const isUnlikely = sum === null || part.logprobs.includes(null);
  const total = isUnlikely ? null : part.logprobs.reduce((a, b) => a + b, sum);
  // A character may begin before this part: the bytes are decoded from the start.
  const texts = tokenTexts(tokens, tokenBytes, isLeaf)?.slice(tokensAbove.length);
  const ids = part.tokens.map((token) => `id ${token}`).join(" ");
  nodes.push({ p: parent, u: isLeaf ? CHOICE : TOKENS, k: isLeaf ? "choice" : "tokens",
    q: prob ? part.prob / prob : 0, i: part.tokens, l: part.logprobs, s: total,
    ...(texts ? { x: texts } : { t: ids }), ...(isLeaf ? { g: 1 } : {}) });
  return { prob: part.prob, sum: total, tokens };
}

// Returns the data of the tree; null if the answer has no tokens.
export function choiceTree(answer, promptText, tokenBytes) {
  const texts = scoredTexts(answer).filter((text) => text.tokens.length);
  if (!texts.length) return null;
  const root = joinBeginnings(texts);
  const nodes = [{ p: -1, u: PROMPT, t: visible(promptText), k: "text" }];
  let best = 0;
  const start = { prob: root.prob, sum: 0, tokens: [] };
  const waiting = [...root.next.values()].map((part) => [part, 0, start]);
  for (let at = 0; at < waiting.length; at++) {
    const [first, parent, above] = waiting[at];
    const part = mergeChain(first);
    const index = nodes.length;
    const here = addPart(nodes, part, parent, above, tokenBytes);
    if (part.ending && part.next.size) {
      const share = part.prob ? part.ending.prob / part.prob : 0;
      nodes.push({ p: index, u: END, t: "", k: "choice", g: 1, q: share });
    }
    if (part.ending?.isBest) best = nodes.length - 1;
    for (const child of part.next.values()) waiting.push([child, index, here]);
  }
  return { nodes, names: NAMES, reasons: [], models: [], best: wayTo(nodes, best),
    has_texts: nodes.some((node) => node.x) };
}

function wayTo(nodes, last) {
  const way = [];
  for (let at = last; at >= 0; at = nodes[at].p) way.push(at);
  return way.reverse();
}
