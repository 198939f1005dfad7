"""Processes that serve stages to be timed: this program's; the reference's is in `tools`."""
