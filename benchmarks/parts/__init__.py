"""What is measured: one module for each part, with `run(**arguments)`, which returns rows that are JSON."""
