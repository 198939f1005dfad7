"""Reading as the PyTorch release reads, faults included (`--text_compat`)."""
