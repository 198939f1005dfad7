"""Training: from recordings to better parameters.

`data` turns recordings into arrays, `objectives` say what is minimised, `loop` minimises it.
"""
