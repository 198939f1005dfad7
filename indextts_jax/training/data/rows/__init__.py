"""Rows of manifests: reading, measuring, checking, splitting, reporting.

What belongs here: everything that decides which clips are used. No network runs here, and no arrays
are stored. `survey.py` is the entry point.
"""
