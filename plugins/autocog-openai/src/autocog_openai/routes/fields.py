"""What the routes ask for alike, under the names that they share."""

from __future__ import annotations

#: That OpenAI takes; of more, none is sent: the text is cut here.
MOST_STOPS = 4
