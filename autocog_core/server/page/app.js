// The page at `/`: asks the server for the scores of choices, and shows them.

import { KeyForm } from "./key_form.js";
import { EXAMPLE, linkOf, questionOf, requestBody, scoredChoices } from "./question.js";
import { QuestionForm } from "./question_form.js";
import { clearResult, showResult } from "./result_view.js";
import { ask, ServerError } from "./server.js";
import { visible } from "./texts.js";

// Results to go back to, by the link of their question.
const MAX_RESULTS = 20;

class App {
  constructor() {
    this.results = new Map();
    this.running = null;
    this.status = document.getElementById("status");
    this.error = document.getElementById("error");
    this.link = document.getElementById("link");
    this.stopButton = document.getElementById("stop");
    this.form = new QuestionForm(() => this.showLink());
    this.keyForm = new KeyForm(() => {
      this.showError("");
      this.showModels();
    });
    this.form.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.score();
    });
    this.form.element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.score();
    });
    this.stopButton.addEventListener("click", () => {
      this.cancel();
      this.showNoResult("Stopped.");
    });
    window.addEventListener("popstate", () => this.followLink());
    this.followLink();
    this.showModels();
  }

  async showModels() {
    try {
      const list = await ask("v1/models");
      this.form.showModels((list.data || []).map((model) => model.id));
      this.showLink();
    } catch (error) {
      this.explain(error);
    }
  }

  showLink() {
    const link = linkOf(this.form.question);
    this.link.hidden = !link;
    this.link.href = link || "#";
  }

  // The link of the page is a question: shows it, and its result if this page has it. A link alone
  // never makes the model work.
  followLink() {
    this.cancel();
    this.showError("");
    let question = EXAMPLE;
    try {
      question = questionOf(location.hash);
    } catch (error) {
      this.showError(error.message);
    }
    this.form.question = question;
    this.showLink();
    const result = this.results.get(location.hash);
    if (result) this.show(result);
    else this.showNoResult("Press Score.");
  }

  // Ends the request that is under way; the server then stops its work.
  cancel() {
    const run = this.running;
    this.running = null;
    this.stopButton.hidden = true;
    run?.abort();
  }

  async score() {
    this.cancel();
    this.showError("");
    const { question } = this.form;
    if (!scoredChoices(question).length) {
      this.showError("Write at least one choice.");
      return;
    }
    const run = new AbortController();
    this.running = run;
    this.stopButton.hidden = false;
    this.status.textContent = "Scoring …";
    try {
      const result = await this.askFor(question, run.signal);
      if (this.running !== run) return;
      this.cancel();
      this.keep(question, result);
      this.show(result);
      this.scrollToResult();
    } catch (error) {
      if (this.running !== run) return;
      this.cancel();
      this.showNoResult("No result.");
      this.scrollToResult();
      this.explain(error);
    }
  }

  // On a phone, the result is below the form.
  scrollToResult() {
    const block = matchMedia("(max-width: 900px)").matches ? "start" : "nearest";
    document.getElementById("result-title").scrollIntoView({ block });
  }

  async askFor(question, signal) {
    const start = performance.now();
    const answer = (await ask("v1/choose", requestBody(question), signal))?.results?.[0];
    if (!Array.isArray(answer?.scores)) throw new ServerError("The answer holds no scores.");
    const seconds = (performance.now() - start) / 1000;
    const tokens = new Set(answer.scores.flatMap(
      (score) => [score, ...(score.texts || [])].flatMap((text) => text.tokens)));
    const tokenBytes = tokens.size ? await askForBytes(question.model, [...tokens], signal) : {};
    return { question, answer, seconds, tokenBytes };
  }

  // Makes the question the page's link, so that "back" shows the question before it.
  keep(question, result) {
    const link = linkOf(question);
    if (!link) {
      // The page's link must not be that of another question.
      if (location.hash) history.pushState(null, "", location.pathname + location.search);
      return;
    }
    if (link !== (location.hash || "#")) history.pushState(null, "", link);
    this.results.set(location.hash, result);
    if (this.results.size > MAX_RESULTS) this.results.delete(this.results.keys().next().value);
  }

  show({ question, answer, seconds, tokenBytes }) {
    const count = answer.scores.length.toLocaleString("en");
    this.status.textContent = `${count} choice${count === "1" ? "" : "s"} by ` +
      `${visible(question.model || "the default model")} in ${seconds.toFixed(2)} s`;
    showResult(answer, tokenBytes, question.mode === "prompt" ? question.prompt : question.user);
  }

  showNoResult(text) {
    this.status.textContent = text;
    clearResult();
  }

  explain(error) {
    this.showError(error.message);
    if (!(error instanceof ServerError)) throw error;
    if (error.needsKey) this.keyForm.open();
  }

  showError(text) {
    this.error.textContent = visible(text);
    this.error.hidden = !text;
  }
}

// Returns the bytes of tokens by their ids; none if the server cannot say: ids are shown then.
async function askForBytes(model, tokens, signal) {
  try {
    const answer = await ask("v1/token_bytes", { ...(model ? { model } : {}), tokens }, signal);
    return answer.token_bytes || {};
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return {};
  }
}

new App();
