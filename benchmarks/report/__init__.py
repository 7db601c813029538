"""What the results say: the page, the chart, the targets, the terminal."""
