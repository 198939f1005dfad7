"""The requests of a soak test, and what it measures of the process."""
