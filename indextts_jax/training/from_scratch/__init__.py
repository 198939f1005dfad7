"""A build: trains a model from scratch, component by component; each stage is a training run.

`description.py` reads the stages, `commands.py` gives the commands of each stage, `carry.py` moves
a build to another machine.
"""
