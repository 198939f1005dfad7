"""Before the first request: memory, time, and ahead-of-time compilation."""
