"""Chunks to one response. Knows no bytes."""
