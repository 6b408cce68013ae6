"""Programs as files: automata in YAML or JSON, read with every fault named by its line."""
