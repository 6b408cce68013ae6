"""The backend `ngram` for autocog; what computes is imported when a model is made."""
