"""Data that passes between core and a backend."""
