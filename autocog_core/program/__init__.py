"""Program files: automata in YAML or JSON, read with all errors by line, and written."""
