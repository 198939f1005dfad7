"""Which emotion is asked for, and the vector that the GPT is given for it."""
