"""What is trained: one file an objective, each a pure loss of parameters, a batch and a key.

An objective knows speech and nothing of steps, devices or files; `loop/` knows those and nothing of
speech. `base.py` says what the two expect of each other.
"""
