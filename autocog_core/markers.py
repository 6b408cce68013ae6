"""The project name and the two pluggy markers: all that a plugin must import at load time."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT_NAME: Final = "autocog"

#: Version of the hook contract in `autocog_core.hookspecs`. A backend declares the one it was
#: written for as `contract`; another number is refused at load, with both versions in the message.
CONTRACT_VERSION: Final = 1

hookspec: Final = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl: Final = pluggy.HookimplMarker(PROJECT_NAME)
