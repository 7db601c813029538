"""The inputs: generated cases, the batch mix, the real recordings beside the repository, and how they arrive."""
