"""What a plugin's name makes: its distribution, module and class; and which names cannot be."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from autocog_core.config import plugins
from autocog_core.errors import InputError

PREFIX = "autocog-"
_CORE = "autocog-core"
_VALID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: The template's longest lines have room for so much, and so has a table of backends.
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class PluginName:
    """A name that a new backend may have.

    :ivar name: in a config: `backend = "my-engine"`.
    """

    name: str

    @property
    def distribution(self) -> str:
        """For pip: autocog-my-engine."""
        return PREFIX + self.name

    @property
    def module(self) -> str:
        """For Python: autocog_my_engine."""
        return self.distribution.replace("-", "_")

    @property
    def camel(self) -> str:
        """What its classes' names begin with: MyEngine."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @classmethod
    def checked(cls, name: str) -> PluginName:
        """The plugin's name that `name` is.

        :raises InputError: if no distribution or module can have it, or core has it already.
        """
        if not _VALID.fullmatch(name):
            near = _near(name)
            raise InputError(
                f"{name!r} cannot name a plugin: lower-case letters, digits and single hyphens "
                "can, a letter first",
                where="NAME",
                hint=f"try {near}" if near else "",
            )
        if len(name) > _LONGEST:
            raise InputError(
                f"it has {len(name)} characters, {_LONGEST} at most", where="NAME", hint="cut it"
            )
        if name.startswith(PREFIX):
            raise InputError(
                f'the package is called "{PREFIX}..." anyway',
                where="NAME",
                hint=f"try {name.removeprefix(PREFIX)}",
            )
        if keyword.iskeyword(name):
            raise InputError(
                f'"{name}" is a word of Python itself', where="NAME", hint="take another"
            )
        if name in _taken():
            raise InputError(
                f'"{name}" is a name of autocog\'s own', where="NAME", hint="take another"
            )
        return cls(name)

    def offered_by(self) -> list[str]:
        """Installed distributions, other than its own, that offer a backend of this name."""
        return sorted(
            plugin.distribution
            for plugin in plugins.installed_plugins()
            if plugin.name == self.name and plugin.distribution != self.distribution
        )


def _near(name: str) -> str:
    """A valid name like `name`; empty where nothing is left of it."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    near = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-").removeprefix(PREFIX)
    return near if _VALID.fullmatch(near) else ""


def _taken() -> set[str]:
    own = {name for names in plugins.FIRST_PARTY_PLUGINS.values() for name in names}
    distributions = {
        name for names in plugins.FIRST_PARTY_PLUGINS.values() for name in names.values()
    }
    builtin = {
        plugin.name for plugin in plugins.installed_plugins() if plugin.distribution == _CORE
    }
    return own | builtin | {name.removeprefix(PREFIX) for name in (*distributions, _CORE)}
