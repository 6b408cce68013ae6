"""Plugins, the config file, options of backends, and the cache folder."""
