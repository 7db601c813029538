"""Any source as an iterator of slices or chunks, recognised by its shape."""
