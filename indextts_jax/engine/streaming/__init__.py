"""Speech in chunks of codes: the first sound while the sentence is still being computed."""
