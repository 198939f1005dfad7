"""A build: a model from nothing, component by component; each stage is a run of training.

`description.py` reads what the stages are, `commands.py` says what each has to run, `carry.py`
takes a build from one machine to another.
"""
