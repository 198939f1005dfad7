"""Judges of speech: its words, its speaker, its quality. Each is a network that was trained
elsewhere and is read from a local file; nothing is downloaded.

Their packages (the extra `judge`) are imported when a judge is opened, not before.
"""
