"""The objectives of the vocoder: its mel loss, and its discriminators."""
