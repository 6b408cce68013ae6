"""How a child process tells its parent what it finds out: one JSON object a line, as it goes.

What was told stays told when the process is ended later.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from autocog_core.doctor.plain import plain


class Teller:
    """The way to the parent: this process's standard output, which nobody else may use.

    Whatever plugins print goes to standard error from here on.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._stream = os.fdopen(os.dup(1), "w", encoding="ascii")
        os.dup2(2, 1)

    def __call__(self, **facts: Any) -> None:
        """Tell facts; a later one replaces an earlier one of the same name."""
        self._stream.write(json.dumps(plain(facts)) + "\n")
        self._stream.flush()
