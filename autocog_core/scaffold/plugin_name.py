"""The name of a plugin, and the names of its distribution, module and classes."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from autocog_core.config import plugins
from autocog_core.errors import InputError

PREFIX = "autocog-"
_CORE = "autocog-core"
_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: The longest lines of the template, and tables of backends, have room for this many characters.
_MAX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class PluginName:
    """A valid name of a new plugin.

    :ivar name: the name in config files: `backend = "my-engine"`; of a command, its name.
    """

    name: str

    @property
    def distribution(self) -> str:
        """The name for pip: autocog-my-engine."""
        return PREFIX + self.name

    @property
    def module(self) -> str:
        """The name for Python: autocog_my_engine."""
        return self.distribution.replace("-", "_")

    @property
    def class_prefix(self) -> str:
        """The beginning of class names: MyEngine."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @classmethod
    def parse(cls, name: str) -> PluginName:
        """Return `name` as the name of a plugin.

        :raises InputError: if no distribution or module can have the name, or autocog uses it.
        """
        if not _PATTERN.fullmatch(name):
            similar = _similar_name(name)
            raise InputError(
                f"{name!r} cannot name a plugin: use lower-case letters, digits and single "
                "hyphens, and start with a letter",
                where="NAME",
                hint=f"try {similar}" if similar else "",
            )
        if len(name) > _MAX_LENGTH:
            raise InputError(
                f"the name has {len(name)} characters, {_MAX_LENGTH} at most",
                where="NAME",
                hint="use a shorter one",
            )
        if name.startswith(PREFIX):
            raise InputError(
                f'the package gets the prefix "{PREFIX}" anyway',
                where="NAME",
                hint=f"try {name.removeprefix(PREFIX)}",
            )
        if keyword.iskeyword(name):
            raise InputError(
                f'"{name}" is a keyword of Python', where="NAME", hint="use another name"
            )
        if name in _reserved_names():
            raise InputError(f'autocog itself uses "{name}"', where="NAME", hint="use another name")
        return cls(name)

    def other_distributions(self, group: str = plugins.BACKENDS) -> list[str]:
        """Return the other installed distributions that have a plugin with this name.

        :param group: the group of entry points.
        """
        return sorted(
            plugin.distribution
            for plugin in plugins.installed_plugins(group)
            if plugin.name == self.name and plugin.distribution != self.distribution
        )


def _similar_name(name: str) -> str:
    """Return a valid name similar to `name`, or an empty string."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    similar = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-").removeprefix(PREFIX)
    return similar if _PATTERN.fullmatch(similar) else ""


def _reserved_names() -> set[str]:
    names = {name for names in plugins.FIRST_PARTY_PLUGINS.values() for name in names}
    distributions = {
        name for names in plugins.FIRST_PARTY_PLUGINS.values() for name in names.values()
    }
    builtin = {
        plugin.name
        for group in plugins.KINDS
        for plugin in plugins.installed_plugins(group)
        if plugin.distribution == _CORE
    }
    return names | builtin | {name.removeprefix(PREFIX) for name in (*distributions, _CORE)}
