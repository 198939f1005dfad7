"""What a checkpoint holds: its parts, statistics of its arrays, and what is odd about them."""
