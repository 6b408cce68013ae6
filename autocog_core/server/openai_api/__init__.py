"""What the routes of OpenAI's protocol for texts share: arguments, answers, streams."""

from __future__ import annotations
