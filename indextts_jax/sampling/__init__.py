"""Loops over codes and flow steps; the networks themselves are in `models`."""
