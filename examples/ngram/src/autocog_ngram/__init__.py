"""The backend `ngram` for autocog. The engine is imported only to load a model."""
