"""When each word of a text is spoken: from attention or an estimate to words, cues and files."""
