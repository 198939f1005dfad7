"""Checkpoints on disk. The one folder that imports Orbax."""
