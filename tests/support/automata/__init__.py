"""Drawing automata, and the slow reference evaluator."""
