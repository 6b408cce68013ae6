"""The mock of jevcompat, which ends at once: its own `Running` takes half a second for it."""

from __future__ import annotations

import threading

from jevcompat import mock


class Running(mock.Running):  # type: ignore[misc]
    """The mock on a free port, within a block."""

    def __init__(self, config: mock.MockConfig | None = None) -> None:
        super().__init__(config)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
