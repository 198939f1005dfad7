"""Loops over codes and flow steps, kept out of the modules."""
