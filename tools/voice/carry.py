"""Moves a build of `train --recipe mini/all` to another machine, and back.

    python -m tools.voice.carry pack voice training_state
    python -m tools.voice.carry unpack training_state voice

The packed state is small enough to be committed: the last model in float16, and the weights of the
run in progress. After `unpack` the same `train` command continues; see
`training/from_scratch/carry.py`.
"""

import argparse
import sys
from pathlib import Path

from indextts_jax.errors import InputError
from indextts_jax.training.from_scratch import carry
from indextts_jax.training.from_scratch.commands import Plan
from indextts_jax.training.from_scratch.description import bundled_builds, load_build


def main() -> int:
    """Reads the flags, packs or unpacks, says what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.voice.carry", description=__doc__.splitlines()[0]
    )
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("src", type=Path)
    parser.add_argument("dst", type=Path)
    parser.add_argument("--recipe", default="mini/all", choices=bundled_builds())
    args = parser.parse_args()
    folder, state = (args.src, args.dst) if args.action == "pack" else (args.dst, args.src)
    plan = Plan(load_build(args.recipe), folder.absolute(), {})
    try:
        found = getattr(carry, args.action)(plan, state)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    print(f"done: {found.done}; in work: {found.working}, step {found.step}; {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
