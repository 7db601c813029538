"""Plain data to structs and back: strict, tolerant, and from any client's objects."""
