"""From a recording to a voice, and voices that are kept."""
