"""From a recording to a voice, and voices saved on disk."""
