"""The objective of the GPT: cross-entropy of codes and text tokens."""
