"""`streamagg batch`: recordings to one table of responses."""
