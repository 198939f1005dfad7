"""Published PyTorch files to parameter trees: tables, sources, transforms."""
