"""The public types: chunks, responses, usage, and the reading of a model's JSON into a type."""
