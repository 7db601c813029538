"""Measures streamagg beside what others use for the same job: `python -m benchmarks` from the repository root."""
