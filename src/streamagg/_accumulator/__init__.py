"""The state of one stream: the only place where it changes."""
