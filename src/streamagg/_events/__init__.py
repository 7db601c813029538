"""The events that `events()` and `text()` make of a stream."""
