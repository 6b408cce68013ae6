"""The `autocog` command: one file a command group, and no logic that the API lacks."""
