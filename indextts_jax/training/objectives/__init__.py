"""Training objectives: each is a pure loss function of parameters, a batch and a key.

Objectives are about speech, and independent of steps, devices and files; `loop/` is the opposite.
`base.py` defines the interface between them.
"""
