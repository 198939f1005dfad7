"""Export: from a checkpoint to the published files, with inverted import tables."""
