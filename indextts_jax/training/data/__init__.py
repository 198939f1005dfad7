"""From recordings and texts to the arrays that recipes read.

What belongs here: manifests, checks of their rows, the split, pairs of clips of one speaker, and
the directory of prepared features. Not here: losses, and batches of a step.
"""
