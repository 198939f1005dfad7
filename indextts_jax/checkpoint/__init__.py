"""Checkpoints on disk. The only package that imports Orbax."""
