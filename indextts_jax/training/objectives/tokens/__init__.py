"""The objective of semantic encoder and codec, from scratch."""
