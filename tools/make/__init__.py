"""What writes the sets of the tests, and published files with random weights."""
