"""From text to tokens, to a token choice tree, to scores."""
