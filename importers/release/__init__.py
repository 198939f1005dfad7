"""What a release consists of: its files, where they lie, its settings."""
