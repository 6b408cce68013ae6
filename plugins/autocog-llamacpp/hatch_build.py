"""Builds the extension in C++ where that is possible; without it the plugin works as well.

It needs a compiler, and the headers of the llama-cpp-python that it will run with: those of the
environment that is being installed to, else the ones that the build requires. Whatever is missing,
or fails, is written to a file that `autocog doctor` reads.
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
#: As in autocog_llamacpp/extension/load.py.
REASON = "autocog_llamacpp/native_not_built.txt"
#: What tells the sources' digest, there as in the build.
DIGEST = "src/autocog_llamacpp/extension/sources.py"
#: "0" builds no extension, "1" makes it an error if that fails.
SWITCH = "AUTOCOG_NATIVE"


class NativeHook(BuildHookInterface[Any]):
    """Adds the extension to a wheel, or the reason why there is none."""

    PLUGIN_NAME = "custom"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._building: ScikitBuildHook | None = None
        self._folder: str | None = None

    def dependencies(self) -> list[str]:
        """What the build needs beside what pyproject.toml says."""
        if self._refused():
            return []
        engine = [] if headers() else [self._requirement()]
        return [*self._hook({}).dependencies(), *engine]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it."""
        reason = self._refused()
        found = None if reason else headers()
        if not reason and found is None:
            reason = f"the headers of {ENGINE} were not found"
        if found is not None:
            folder, engine = found
            sources = runpy.run_path(str(Path(self.root) / DIGEST))["digest"]
            defined = {"LLAMA_HEADERS": str(folder), "LLAMA_VERSION": engine}
            defined["SOURCES"] = sources(Path(self.root) / "native")
            self._building = self._hook(defined)
            try:
                self._building.initialize(version, build_data)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it works without
                self._building = None
                reason = f"it does not compile: {error}".splitlines()[0]
        if not reason:
            return
        if os.environ.get(SWITCH) == "1":
            raise RuntimeError(f"no extension: {reason}")
        self.app.display_warning(f"{self.metadata.name} is installed without C++: {reason}")
        self._folder = tempfile.mkdtemp()
        note = Path(self._folder) / "reason.txt"
        note.write_text(reason + "\n", encoding="utf-8")
        included = "force_include_editable" if version == "editable" else "force_include"
        build_data[included][str(note)] = REASON

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up."""
        if self._building is not None:
            self._building.finalize(version, build_data, artifact_path)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _refused(self) -> str:
        if os.environ.get(SWITCH) == "0":
            return f"{SWITCH}=0"
        return "" if compiler() else "there is no C++ compiler"

    def _requirement(self) -> str:
        return next(each for each in self.metadata.core.dependencies if each.startswith(ENGINE))

    def _hook(self, defined: dict[str, str]) -> ScikitBuildHook:
        config = {"cmake": {"define": defined}}
        return ScikitBuildHook(
            self.root,
            config,
            self.build_config,
            self.metadata,
            self.directory,
            self.target_name,
            self.app,
        )


def compiler() -> str | None:
    """A C++ compiler, if there is one. On Windows CMake knows better where it is."""
    if sys.platform == "win32":
        return "found by CMake"
    named = os.environ.get("CXX", "").partition(" ")[0]
    candidates = [named, "c++", "g++", "clang++"]
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


def headers() -> tuple[Path, str] | None:
    """The folder of llama.h, and the version that it belongs to."""
    # An isolated build sees its own packages on `sys.path`. Those of the environment that it is for
    # count first: pip's isolation leaves them where they always are, others tell by a variable.
    target = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := os.environ.get(name):
            scheme = {"base": prefix, "platbase": prefix}
            target.append(sysconfig.get_path("purelib", vars=scheme))
    for path in (target, sys.path):
        for found in distributions(path=path):
            if re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower() != ENGINE:
                continue
            folder = Path(str(found.locate_file("include")))
            if (folder / "llama.h").is_file():
                return folder, found.version
    return None


def get_build_hook() -> type[NativeHook]:
    """The one hook of this file, which imports another."""
    return NativeHook
