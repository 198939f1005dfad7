"""Inspection of a checkpoint, array by array, for the command `show`."""
