"""What happens to every request before its route, and to every answer after it."""

from __future__ import annotations
