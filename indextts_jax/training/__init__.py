"""Training: from recordings to parameters.

What belongs here: the recipe, the training loop, the objectives, their data, and the evaluation of
trained models. The networks are those of inference (`models/`); nothing here is used in inference.
"""
