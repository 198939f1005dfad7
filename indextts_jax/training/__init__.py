"""Training: from recordings to better parameters.

What belongs here: the recipe, the loop over steps, the objectives, the data they are given and the
evaluation of what they make. The networks are those that speak (`models/`); nothing here is used
while speaking.
"""
