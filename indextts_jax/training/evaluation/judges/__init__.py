"""Judges of speech: words, speaker, quality.

Each is a pretrained network that is read from a local file; nothing is downloaded.

Their packages (the extra `judge`) are imported when a judge is opened.
"""
