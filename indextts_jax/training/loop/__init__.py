"""The training loop: batches, gradients, saves, logs, stopping and resuming.

Nothing here is specific to speech: rows come from prepared data, losses from an objective. A step
is a pure function of (data, recipe, step number, state), so that a resumed run is identical to an
uninterrupted one.
"""
