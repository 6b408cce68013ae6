// Requests to the server of this page, with the key of this tab.

const KEY_NAME = "autocog-key";
const MAX_ERROR = 2000;

// An answer that is an error. `needsKey`: whether the server wants a key, or another one.
export class ServerError extends Error {
  constructor(text, needsKey = false) {
    super(text);
    this.needsKey = needsKey;
  }
}

// Browsers may forbid a page to keep anything; the key then lasts as long as the page.
let keyWithoutStorage = "";

export function readKey() {
  try {
    return sessionStorage.getItem(KEY_NAME) || keyWithoutStorage;
  } catch {
    return keyWithoutStorage;
  }
}

export function keepKey(key) {
  keyWithoutStorage = key;
  try {
    if (key) sessionStorage.setItem(KEY_NAME, key);
    else sessionStorage.removeItem(KEY_NAME);
  } catch {
    // It is in `keyWithoutStorage`.
  }
}

// Returns the JSON of an answer. `path` is relative, so that a proxy may have the server in a folder.
export async function ask(path, body, signal) {
  const headers = new Headers();
  const key = readKey();
  try {
    if (key) headers.set("Authorization", `Bearer ${key}`);
  } catch {
    throw new ServerError("The key has characters that no header may hold.", true);
  }
  const options = { headers, signal, credentials: "omit", cache: "no-store" };
  if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  const response = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it running?");
  });
  const text = await response.text();
  const answer = parse(text);
  if (response.ok && answer !== undefined) return answer;
  if (response.status === 401) {
    // The answer speaks of headers, to programs.
    const wish = key ? "refuses this key: write another one" : "wants a key: write it";
    throw new ServerError(`Error 401: the server ${wish} into the field "Key of this server".`, true);
  }
  throw new ServerError(describe(response.status, answer, text));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// The text of an error, whatever its shape: OpenAI's, that of a proxy, or plain text.
function describe(status, answer, text) {
  const message = answer?.error?.message ?? answer?.detail ?? text;
  const words = typeof message === "string" ? message : JSON.stringify(message);
  const shown = words.length > MAX_ERROR ? `${words.slice(0, MAX_ERROR)} …` : words;
  return `Error ${status}: ${shown || "the answer says no more"}`;
}
