"""What a model in training can do: samples by the real pipeline, the guard, the report.

Each measure is a function of the steps done and the parameters (`loop/run.py: Measure`). None of
them changes a number of the training.
"""
