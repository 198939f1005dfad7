"""Evaluation in training: samples from the real pipeline, the guard, the report.

Each measure is a function of the step number and the parameters (`loop/run.py: Measure`). Measures
do not affect the training.
"""
