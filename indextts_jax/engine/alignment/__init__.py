"""Times of words for speech: which heads of a model give them, and the words of its segments."""
