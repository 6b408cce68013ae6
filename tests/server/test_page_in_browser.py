"""The page at `/` in a browser: what a reader does, and what is only text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from autocog_core.controls import picture_controls
from autocog_core.html.tokens import logprob_text, prob_text
from autocog_core.types.choice import SCORE_FIELD_OF_NORM
from tests.support.browser import OpenPage, check_widths_and_colors
from tests.support.served import server_in_thread, small_models
from tests.support.small_backends import random_model
from tests.support.trees import HOSTILE, UNSEEN

KEY = "the-key-of-the-tests"
PASTE = """text => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  document.activeElement.dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""
LINKS = """async ([questions, damaged, long]) => {
  const { EXAMPLE, linkOf, questionOf } = await import("/page/question.js");
  const errorOf = link => {
    try { return questionOf(link); } catch (error) { return error.message; }
  };
  return [questions.map(each => questionOf(linkOf({ ...EXAMPLE, ...each }))), damaged.map(errorOf),
    linkOf({ ...EXAMPLE, ...long })];
}"""
#: Shows a question by its link.
FOLLOW = """async question => {
  const { EXAMPLE, linkOf } = await import("/page/question.js");
  location.hash = linkOf({ ...EXAMPLE, ...question });
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A server without keys, whose second model has a hostile name."""
    loaders = {**small_models(), HOSTILE[1]: lambda: random_model(seed=4)}
    with server_in_thread(loaders) as url:
        yield url


def score(page: Any) -> None:
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_selector(".bars li, #error:not([hidden])")


def shown_rows(page: Any) -> list[list[str]]:
    """Return text, probability and numbers of each row, in their order."""
    rows: list[list[str]] = page.eval_on_selector_all(
        ".bars > li",
        """rows => rows.map(row => [".bar-head .tokens", ".prob", "summary"].map(
             part => row.querySelector(part).textContent))""",
    )
    return rows


def choose(site: str, body: dict[str, Any]) -> Any:
    answer = httpx2.post(f"{site}/v1/choose", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["results"]
    return found


def expected_rows(answer: Any, suffix: str = "") -> list[list[str]]:
    field = SCORE_FIELD_OF_NORM[answer["norm"]]
    best = answer["scores"][answer["index"]]
    rows = []
    for each in sorted(answer["scores"], key=lambda each: (each is not best, -each["prob"])):
        facts = [f"logprob {logprob_text(each['logprob'])}"]
        if each[field] != each["logprob"]:
            facts.append(f"{field} {logprob_text(each[field])}")
        count = len(each["tokens"])
        facts.append(f"{count} token{'' if count == 1 else 's'}")
        rows.append([each["choice"] + suffix, prob_text(each["prob"]), " · ".join(facts)])
    return rows


def test_a_reader_types_choices_and_sees_what_the_server_answers(
    open_site: OpenPage, site: str
) -> None:
    with open_site(site) as page:
        # By keys alone: API, Key, model, kind of prompt, prompt.
        page.wait_for_selector("#model option >> nth=0", state="attached")
        for _ in range(5):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "prompt"
        page.keyboard.press("Control+A")
        page.keyboard.type("It is")
        page.keyboard.press("Tab")
        # Each line that is pasted is a choice; "Backspace" in an empty field removes it.
        page.keyboard.press("Control+A")
        page.evaluate(PASTE, "möbel 😀\r\nmö\n\nthe end")
        page.keyboard.press("Enter")
        page.keyboard.type("x")
        page.keyboard.press("Enter")
        page.keyboard.press("Backspace")
        page.click("[aria-label='Remove choice 5']")
        page.click("[aria-label='Remove choice 5']")
        values = page.eval_on_selector_all("#choice-rows input", "all => all.map(e => e.value)")
        assert values == ["möbel 😀", "mö", "the end", "x"]
        score(page)
        choices = [" möbel 😀", " mö", " the end", " x"]
        answer = choose(site, {"prompt": "It is", "choices": choices})
        assert answer["has_prefix_choices"]
        assert shown_rows(page) == expected_rows(answer)
        assert "4 choices by random" in page.inner_text("#status")
        # The tokens of a choice.
        best = answer["scores"][answer["index"]]
        page.click(".bars .best summary")
        page.wait_for_selector(".bars .best tbody")
        cells = page.locator(".bars .best tbody tr").all_inner_texts()
        numbers = [cell.split("\t")[1:] for cell in cells]
        assert [(token, logprob) for token, _, logprob in numbers] == [
            (str(token), logprob_text(logprob))
            for token, logprob in zip(best["tokens"], best["token_logprobs"], strict=True)
        ]
        check_widths_and_colors(page)
        # The tree: what flows to the end of each choice is its probability.
        ends = page.eval_on_selector_all(
            "#tree [role=treeitem]",
            """all => all.filter(each => each.textContent.includes("end of a path"))
                 .map(each => each.dataset.id)""",
        )
        flows = []
        for end in ends:
            page.click(f"#tree [data-id='{end}']")
            panel = page.inner_text(".explorer-panel")
            flows.append(panel.partition("probability that flows here\n")[2].split()[0])
        assert sorted(flows) == sorted(prob_text(each["prob"]) for each in answer["scores"])
        assert "#node" not in page.url


def test_other_models_and_many_choices(open_site: OpenPage, site: str) -> None:
    with open_site(site) as page:
        page.select_option("#model", "known")
        page.fill("#prompt", "It is ")
        page.click("#edit-lines")
        page.fill("#choice-lines", "a\n\nb\n")
        # The prompt ends in a blank: no choice begins with another one.
        score(page)
        assert shown_rows(page) == expected_rows(
            choose(site, {"prompt": "It is ", "choices": ["a", "b"], "model": "known"})
        )
        assert "2 choices by known" in page.inner_text("#status")
        # What is stopped shows nothing, and the last of several questions is answered.
        page.evaluate(
            """() => {
              document.getElementById("score").click();
              document.getElementById("stop").click();
            }"""
        )
        assert page.inner_text("#status") == "Stopped."
        assert not page.is_visible("#tree-section")
        page.evaluate(
            """() => {
              const lines = document.getElementById("choice-lines");
              const button = document.getElementById("score");
              for (const text of ["x", "y", "b\\nz\\n\\nq"]) {
                lines.value = text;
                button.click();
              }
            }"""
        )
        page.wait_for_selector("#stop", state="hidden")
        assert sorted(row[0] for row in shown_rows(page)) == ["b", "q", "z"]
        page.fill("#choice-lines", "a\nb")
        # Back to fields; many are lines from the start, and the likeliest are shown.
        page.click("#edit-lines")
        assert page.locator("#choice-rows input").count() == 2
        page.select_option("#model", "random")
        page.focus("#choice-rows input >> nth=1")
        page.evaluate(PASTE, "\n".join(["", *(f"choice {number}" for number in range(130))]))
        assert page.is_visible("#choice-lines")
        score(page)
        assert page.locator(".bars > li").count() == 100
        page.click("text=Show 32 more")
        names = [f"choice {number}" for number in range(130)]
        assert shown_rows(page) == expected_rows(
            choose(site, {"prompt": "It is ", "choices": ["a", "b", *names]})
        )


def test_a_chat_with_options(open_site: OpenPage, site: str) -> None:
    with open_site(site) as page:
        page.wait_for_selector("#model option >> nth=2", state="attached")
        page.check("text=Chat")
        assert not page.is_visible("#prompt")
        assert not page.is_visible("#blank")
        page.fill("#system", "Be short.")
        page.fill("#user", "Is it?")
        page.click("#options summary")
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Is it?"},
            ],
            "choices": ["Yes", "No", "Sometimes"],
        }
        page.select_option("#norm", "mean")
        page.select_option("#suffix", "eos")
        score(page)
        answer = choose(site, {**body, "norm": "mean", "suffix": {"eos": True}})
        assert shown_rows(page) == expected_rows(answer)
        page.select_option("#norm", "pmi")
        page.fill("#unconditional", "It")
        page.select_option("#suffix", "text")
        page.fill("#suffix-text", "!")
        page.select_option("#boundary", "strict")
        page.fill("#system", "")
        score(page)
        body |= {"messages": body["messages"][1:], "norm": "pmi", "unconditional_prompt": "It"}
        answer = choose(site, {**body, "suffix": "!", "boundary": "strict"})
        # What is scored is the choice with what follows it.
        assert shown_rows(page) == expected_rows(answer, "!")
        assert 'ranked by pmi, the gain over "It"' in page.inner_text("#scores")


def test_a_link_restores_a_question_and_makes_no_model_work(open_site: OpenPage, site: str) -> None:
    with open_site(site) as page:
        page.wait_for_selector("#model option >> nth=2", state="attached")
        page.fill("#prompt", "First 😀\n")
        score(page)
        first, first_rows = page.url, shown_rows(page)
        page.fill("#prompt", "Second")
        page.click("#options summary")
        page.select_option("#suffix", "text")
        page.fill("#suffix-text", "!")
        link = page.evaluate("document.getElementById('link').href")
        page.fill("#prompt", "Third")
        page.select_option("#suffix", "none")
        score(page)
        page.go_back()
        assert page.url == first
        assert page.input_value("#prompt") == "First 😀\n"
        assert shown_rows(page) == first_rows
        page.go_back()
        assert page.input_value("#prompt").startswith("Question: ")
        assert page.locator(".bars").count() == 0
        page.go_forward()
        assert shown_rows(page) == first_rows
        # A question that is too long for a link has none.
        page.fill("#prompt", "x" * 40_000)
        assert not page.is_visible("#link")
        score(page)
        assert page.url == f"{site}/"
        assert len(shown_rows(page)) == 3
    with open_site(link) as page:
        calls = []
        page.on("request", lambda request: calls.append(request.url))
        assert page.input_value("#prompt") == "Second"
        assert page.is_visible("#suffix-text")
        assert page.input_value("#suffix-text") == "!"
        assert page.inner_text("#status") == "Press Score."
        # Every text survives, and what is damaged or too long is refused.
        questions = [
            {"prompt": text, "choices": [text.replace("\n", " "), ""], "blank": False}
            for text in HOSTILE
        ]
        damaged = ["#!", "#bm90IGpzb24", "#W10", "#eyJwcm9tcHQiOjF9", "#eyJvdGhlciI6MX0"]
        restored, errors, unlinked = page.evaluate(
            LINKS, [questions, [*damaged, "#" + "A" * 40_000], {"prompt": "x" * 40_000}]
        )
        for question, found in zip(questions, restored, strict=True):
            assert {name: found[name] for name in question} == question
        assert all("the form shows an example" in error for error in errors)
        assert unlinked == ""
        page.evaluate("hash => { location.hash = hash; }", damaged[1])
        page.wait_for_selector("#error:not([hidden])")
        assert "The link is damaged" in page.inner_text("#error")
        assert page.input_value("#prompt").startswith("Question: ")
        assert not any("choose" in call for call in calls)


def test_a_key_is_asked_for_and_kept_by_the_tab_alone_and_a_server_may_be_gone(
    open_site: OpenPage,
) -> None:
    with ExitStack() as stack:
        with server_in_thread(keys=[KEY]) as url:
            page = stack.enter_context(open_site(url))
            give_keys(page)
        page.focus("#prompt")
        score(page)
        assert "does not answer" in page.inner_text("#error")


def give_keys(page: Any) -> None:
    page.wait_for_selector("#key", state="visible")
    assert "Error 401: the server wants a key" in page.inner_text("#error")
    assert page.evaluate("document.activeElement.id") == "key"
    check_widths_and_colors(page, is_short=True)
    page.keyboard.type("not-the-key")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=the server refuses this key")
    page.fill("#key", "no header ⟨⟩")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=no header may hold")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#model option >> nth=0", state="attached")
    assert not page.is_visible("#key")
    page.focus("#prompt")
    score(page)
    assert page.locator(".bars > li").count() == 3
    kept = page.evaluate("[{...sessionStorage}, {...localStorage}, document.cookie]")
    assert kept == [{"autocog-key": KEY}, {}, ""]
    assert KEY not in page.content()
    assert KEY not in page.url
    page.reload()
    page.wait_for_selector("#model option >> nth=0", state="attached")
    page.click("#open-key")
    page.click("#forget-key")
    page.wait_for_selector("#error:not([hidden])")
    assert page.evaluate("sessionStorage.length") == 0


def test_errors_and_hostile_texts_are_only_text(open_site: OpenPage, site: str) -> None:
    shown = [text for text in HOSTILE if text.isprintable() or "\ud800" not in text]
    with open_site(site) as page:
        page.wait_for_selector("#model option >> nth=2", state="attached")
        assert HOSTILE[1] in page.locator("#model option").all_inner_texts()
        question = {"model": HOSTILE[1], "prompt": "".join(shown), "choices": shown, "blank": False}
        page.evaluate(FOLLOW, question)
        page.wait_for_selector("#form-note >> text=⟨RIGHT-TO-LEFT OVERRIDE⟩")
        page.focus("#prompt")
        score(page)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.wait_for_selector(".bars li:last-child tbody")
        text = page.inner_text("main")
        assert page.locator(".bars > li").count() == len(shown)
        for part in shown:
            assert picture_controls(part) in {row[0] for row in shown_rows(page)}
        assert page.title() == "autocog: choices"
        assert page.locator("main img, main script, main b").count() == 0
        assert not set(UNSEEN) & set(text)
        check_widths_and_colors(page, is_short=True)
        # Errors: of the server, and of the form.
        page.evaluate(
            FOLLOW,
            {"model": HOSTILE[0] + HOSTILE[4]},
        )
        page.wait_for_function(
            "() => document.getElementById('prompt').value.startsWith('Question')"
        )
        page.focus("#prompt")
        score(page)
        error = page.inner_text("#error")
        assert error.startswith("Error 404: no model")
        assert HOSTILE[0][:20] in error
        assert not set(UNSEEN) & set(error)
        assert page.locator("main img, main script, main b").count() == 0
        assert page.inner_text("#status") == "No result."
        page.click("#edit-lines")
        page.fill("#choice-lines", "\n")
        score(page)
        assert page.inner_text("#error") == "Write at least one choice."
