"""The PyTorch reference: its modules, one call for each stage, and what is recorded of them.

Runs where the reference is installed; JAX need not be there. `tools/dump_reference.py` says how to
make such an environment.
"""
