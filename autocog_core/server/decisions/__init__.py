"""Questions about a text, for the protocols System One and Decisions of OpenAI."""

from __future__ import annotations
