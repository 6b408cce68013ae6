"""llama.cpp: contexts, tokenizer, and the evaluation of trees."""
