"""`python -m autocog_core.cli` is the `autocog` command."""

from __future__ import annotations

from autocog_core.cli.main import main

if __name__ == "__main__":
    main()
