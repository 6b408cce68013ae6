"""The styles of the command line: hues that people with any color vision can distinguish.

No style says what the text does not say too: a pick has a mark, and a verdict has a word.
"""

from __future__ import annotations

#: Never green, which many people cannot distinguish from red.
GOOD = "cyan"
CAUTION = "bold yellow"
BAD = "bold red"
PICKED = "bold cyan"
BAR = "cyan"
