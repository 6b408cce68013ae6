"""Methods to evaluate token trees with a Transformers model."""
