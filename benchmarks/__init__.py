"""Measurements of speed and of numeric quality; each runs as `python -m benchmarks.NAME`.

`run` times this program, `compare` times it beside the PyTorch reference, `slots` times batches of
decoding, `quality` measures what half precision costs; `report` and `plot` show the results.
"""
