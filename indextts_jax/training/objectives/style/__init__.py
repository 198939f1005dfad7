"""The objective of the style encoder, from scratch."""
