"""One file for each server dialect: `dialect.py` has the base class, `registry.py` the list."""
