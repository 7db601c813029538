"""Events that repeat the last one except for a few values. The folder can be deleted: no answer changes."""
