"""Loading models, and the objects that users hold."""
