"""Build hook: compile the C++ extension if possible. The plugin also works without it.

The build needs a compiler and the headers of llama-cpp-python. It uses the headers in the target
environment, else those of the build requirements. If the build is not possible, a file states the
reason; `autocog doctor` shows it.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import sys
import sysconfig
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from scikit_build_core.hatch.plugin import ScikitBuildHook

ENGINE = "llama-cpp-python"
#: REASON_FILE of autocog_llamacpp/extension/load.py.
REASON_FILE = "autocog_llamacpp/native_not_built.txt"
#: The module with `digest_sources`.
DIGEST_MODULE = "src/autocog_llamacpp/extension/sources.py"
#: "0": do not build the extension. "1": a failed build is an error.
SWITCH = "AUTOCOG_NATIVE"


class NativeHook(BuildHookInterface[Any]):
    """Adds the extension to a wheel, or the reason why it is missing."""

    PLUGIN_NAME = "custom"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._build: ScikitBuildHook | None = None
        self._reason_dir: str | None = None

    def dependencies(self) -> list[str]:
        """Return the build requirements in addition to those of pyproject.toml."""
        if self._reason_not_to_build():
            return []
        engine = [] if find_headers() else [self._engine_requirement()]
        return [*self._cmake_hook({}).dependencies(), *engine]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the extension, or include the file with the reason."""
        reason = self._reason_not_to_build()
        headers = None if reason else find_headers()
        if not reason and headers is None:
            reason = f"the headers of {ENGINE} were not found"
        if headers is not None:
            reason = self._compile(version, build_data, *headers)
        if not reason:
            return
        if os.environ.get(SWITCH) == "1":
            raise RuntimeError(f"no extension: {reason}")
        self.app.display_warning(f"{self.metadata.name} is installed without C++: {reason}")
        self._reason_dir = tempfile.mkdtemp()
        path = Path(self._reason_dir) / "reason.txt"
        path.write_text(reason + "\n", encoding="utf-8")
        included = "force_include_editable" if version == "editable" else "force_include"
        build_data[included][str(path)] = REASON_FILE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up."""
        if self._build is not None:
            self._build.finalize(version, build_data, artifact_path)
        if self._reason_dir is not None:
            shutil.rmtree(self._reason_dir, ignore_errors=True)

    def _reason_not_to_build(self) -> str:
        if os.environ.get(SWITCH) == "0":
            return f"{SWITCH}=0"
        return "" if find_compiler() else "there is no C++ compiler"

    def _compile(
        self, version: str, build_data: dict[str, Any], headers: Path, engine_version: str
    ) -> str:
        """Compile the extension. Return why it failed, or ""."""
        digest_sources = runpy.run_path(str(Path(self.root) / DIGEST_MODULE))["digest_sources"]
        self._build = self._cmake_hook(
            {
                "LLAMA_HEADERS": str(headers),
                "LLAMA_VERSION": engine_version,
                "SOURCES_DIGEST": digest_sources(Path(self.root) / "native"),
            }
        )
        try:
            self._build.initialize(version, build_data)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the plugin works without it
            self._build = None
            return f"it does not compile: {error}".splitlines()[0]
        return ""

    def _engine_requirement(self) -> str:
        requirements = self.metadata.core.dependencies
        return next(requirement for requirement in requirements if requirement.startswith(ENGINE))

    def _cmake_hook(self, defines: dict[str, str]) -> ScikitBuildHook:
        return ScikitBuildHook(
            self.root,
            {"cmake": {"define": defines}},
            self.build_config,
            self.metadata,
            self.directory,
            self.target_name,
            self.app,
        )


def find_compiler() -> str | None:
    """Return a C++ compiler, if there is one. On Windows, CMake searches for it."""
    if sys.platform == "win32":
        return "found by CMake"
    from_environment = os.environ.get("CXX", "").partition(" ")[0]
    candidates = [from_environment, "c++", "g++", "clang++"]
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


def find_headers() -> tuple[Path, str] | None:
    """Return the folder of llama.h, and the version of llama-cpp-python that it belongs to."""
    # In an isolated build, `sys.path` has the build requirements. The target environment counts
    # first: pip keeps its sysconfig paths; other tools set a variable.
    target = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := os.environ.get(name):
            scheme = {"base": prefix, "platbase": prefix}
            target.append(sysconfig.get_path("purelib", vars=scheme))
    for path in (target, sys.path):
        for distribution in distributions(path=path):
            name = distribution.metadata["Name"] or ""
            if re.sub(r"[-_.]+", "-", name).lower() != ENGINE:
                continue
            folder = Path(str(distribution.locate_file("include")))
            if (folder / "llama.h").is_file():
                return folder, distribution.version
    return None


def get_build_hook() -> type[NativeHook]:
    """Return the hook: this module imports a second one."""
    return NativeHook
