"""The requested emotion, and the emotion vector that conditions the GPT."""
