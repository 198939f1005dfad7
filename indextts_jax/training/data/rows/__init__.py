"""Rows of manifests: read, measured, judged, held out, reported.

What belongs here: everything that decides which clips are used. No network runs here, and no array
is kept. `survey.py` calls the rest.
"""
