// Texts as they are shown: characters that a browser obeys or hides have a sign.

const SIGNS = JSON.parse(document.getElementById("control-signs").textContent);
const codePoint = (character) => character.codePointAt(0).toString(16);
const UNSEEN = new RegExp(
  `[${Object.keys(SIGNS).map((character) => `\\u{${codePoint(character)}}`).join("")}\\ud800-\\udfff]`,
  "gu");

function signOf(character) {
  // A lone surrogate: autocog_core/controls.py names it by its number, too.
  return SIGNS[character] ?? `⟨U+${codePoint(character).toUpperCase()}⟩`;
}

// Returns a text with a visible sign in place of each character that is not seen.
export function visible(text) {
  return String(text).replace(UNSEEN, signOf);
}

// Returns the signs of such characters in texts, each once.
export function unseenSigns(texts) {
  return [...new Set(texts.flatMap((text) => text.match(UNSEEN) || []))].map(signOf);
}

export function quoted(text) {
  return visible(JSON.stringify(text));
}

function bytesOfHex(hex) {
  return Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
}

// Returns the text of each token, ready to be shown; null if one is not known. A character of
// several tokens belongs to the last of them. `isWhole`: whether the text ends with the last token.
export function tokenTexts(tokens, tokenBytes, isWhole = true) {
  if (!tokens.length || tokens.some((token) => tokenBytes[token] === undefined)) return null;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return tokens.map((token, at) => visible(
    decoder.decode(bytesOfHex(tokenBytes[token]), { stream: !isWhole || at < tokens.length - 1 })));
}
