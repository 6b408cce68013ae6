"""Warnings: what runs, but probably does not compute what its author meant."""
