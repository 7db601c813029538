"""Bytes to events. Knows no JSON."""
