"""The data that core, backends and users exchange."""
