"""llama.cpp itself: contexts, tokens, trees in its memory."""
