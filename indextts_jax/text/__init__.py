"""Raw text to segments of text tokens."""
