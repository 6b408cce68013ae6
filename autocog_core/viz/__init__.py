"""Drawings of automata: text for a terminal, SVG, Mermaid, and DOT for Graphviz."""

from __future__ import annotations

from autocog_core.viz.graph_dot import graph_dot
from autocog_core.viz.graph_mermaid import graph_mermaid
from autocog_core.viz.graph_svg import graph_svg
from autocog_core.viz.graph_text import graph_text
from autocog_core.viz.preview import preview

__all__ = ["graph_dot", "graph_mermaid", "graph_svg", "graph_text", "preview"]
