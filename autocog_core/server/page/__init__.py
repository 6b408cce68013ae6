"""The page at `/`: a prompt and choices, and what a model makes of them."""

from __future__ import annotations
