"""Checks that take longer than tests: the reference, an earlier commit, batches, memory, soak."""
