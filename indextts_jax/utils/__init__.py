"""Code that could stand in any project.

Admission rule: no JAX, no model, useful elsewhere.
"""
