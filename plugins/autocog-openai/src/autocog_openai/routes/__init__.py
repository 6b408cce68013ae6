"""The routes that write text: what they are asked, and how their answers read."""
