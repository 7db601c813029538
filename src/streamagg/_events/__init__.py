"""What `events()` and `text()` tell of a stream."""
