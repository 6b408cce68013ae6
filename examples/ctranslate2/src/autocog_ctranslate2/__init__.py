"""The backend `ctranslate2` for autocog. The engine is imported only to load a model."""
