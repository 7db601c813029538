"""The loops around an accumulator: they await, read clocks, and close what they opened."""
