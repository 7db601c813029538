"""One provider API's events to chunks, one file each."""
