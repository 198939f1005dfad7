"""One table of names for each published file."""
