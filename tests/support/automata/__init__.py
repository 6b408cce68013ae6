"""Generated automata, and a slow reference evaluator."""
