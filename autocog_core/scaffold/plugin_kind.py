"""The kinds of plugins that `autocog new-plugin` writes."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.config import plugins
from autocog_core.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginKind:
    """A kind of plugin.

    :ivar name: the name, also of the folder with its templates.
    :ivar title: what the package has to start with.
    :ivar group: the group of its entry point.
    :ivar file: the file that its author changes, in the package.
    :ivar target: the object of the entry point; PREFIX is the beginning of the class names.
    :ivar requirements: what it needs beside core.
    :ivar next_arguments: the arguments of `autocog` that try it out; NAME is its name. Empty if it
        needs more than the package.
    :ivar page: the page of the documentation, as `autocog docs` names it.
    """

    name: str
    title: str
    group: str = plugins.BACKENDS
    file: str = "backend.py"
    target: str = "PREFIXLM"
    requirements: tuple[str, ...] = ("numpy>=2", "pydantic>=2.6")
    next_arguments: str = 'choose "Is water wet?" -c " Yes" -c " No" --backend NAME'
    page: str = "writing-a-backend"

    @property
    def what(self) -> str:
        """What a user calls it: backend, wrapper or command."""
        return plugins.KINDS[self.group]

    @property
    def has_engine(self) -> bool:
        """Whether it is built around an engine that it imports."""
        return self.name in ("engine", "rows")

    @classmethod
    def parse(cls, name: str) -> PluginKind:
        """Return the kind of a name.

        :raises InputError: for an unknown name.
        """
        if name not in PLUGIN_KINDS:
            raise InputError(
                f"there is no kind {name!r}", where="--kind", hint=did_you_mean(name, PLUGIN_KINDS)
            )
        return PLUGIN_KINDS[name]


_KINDS = (
    PluginKind(name="engine", title="an engine that returns the next token's log-probabilities"),
    PluginKind(
        name="rows",
        title="an engine that evaluates batches of rows",
        requirements=("numpy>=2", "pydantic>=2.6", "tokenizers>=0.20"),
        next_arguments="",
    ),
    PluginKind(name="server", title="a model on a server", next_arguments=""),
    PluginKind(name="choose-only", title="a classifier, which only chooses"),
    PluginKind(
        name="wrapper",
        title="a wrapper that watches the calls of a model",
        group=plugins.WRAPPERS,
        file="wrapper.py",
        target="PREFIX",
        requirements=("pydantic>=2.6",),
        next_arguments="",
        page="wrappers#write-your-own-wrapper",
    ),
    PluginKind(
        name="runner",
        title="a command that runs programs in another way",
        group=plugins.COMMANDS,
        file="commands.py",
        target="app",
        requirements=("typer>=0.12",),
        next_arguments="NAME --help",
        page="architecture#commands-from-plugins",
    ),
)
#: By name, in the order in which they are shown.
PLUGIN_KINDS = {kind.name: kind for kind in _KINDS}
