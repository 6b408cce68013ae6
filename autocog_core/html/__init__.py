"""Pages in HTML: one file without a network, for trees, choices, completions and records."""
