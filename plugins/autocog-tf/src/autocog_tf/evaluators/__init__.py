"""Ways of evaluating token trees with a Transformers model."""
