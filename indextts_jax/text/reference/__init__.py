"""Normalisation exactly as in the PyTorch release, errors included (`--text_compat`)."""
