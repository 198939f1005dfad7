"""General-purpose code.

It does not import JAX, knows nothing about models, and would be useful in other projects.
"""
