"""The public types: chunks, responses, usage, and the typed reading of what a model wrote."""
