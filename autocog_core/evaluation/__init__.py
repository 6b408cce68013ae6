"""Running automata on models."""
