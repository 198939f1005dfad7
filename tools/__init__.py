"""Tools for people who work on the project; each runs from its root as `python -m tools.NAME`.

`dump_reference`, `judge_speech` and `run_notebooks` are for users too. `reference` is the PyTorch
side, `make` writes the test sets, `check` compares and stresses, `gpu` serves `gpu_check` and
`compile_for_gpu`, `voice` builds the speech of the built-in voice. `python -m` puts the root on the
path, so nothing has to be installed where only PyTorch is.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The root of the project."""
