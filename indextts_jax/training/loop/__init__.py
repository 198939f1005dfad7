"""The loop over steps: batches, gradients, saves, logs, stopping and going on.

What belongs here knows nothing of speech: rows come from prepared data, losses from an objective.
A step is a function of (data, recipe, step number, state) and of nothing else, so that a run that
was stopped goes on as if it had not been.
"""
