"""One model on one server: its capabilities, probed on first use, and what is built from them."""
