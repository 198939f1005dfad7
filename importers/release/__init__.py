"""The published release: its files, their locations, its settings."""
