"""Long jobs: data sets of many rows, spoken on many devices, each row exactly once.

What belongs here: tables of rows, the plan, packs and their commit, worker processes, engines,
checks of a finished set. Not here: how a request is spoken (`engine/`), flags and the terminal.
"""
