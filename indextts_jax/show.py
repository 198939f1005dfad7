"""`python -m indextts_jax.show`: shows what a checkpoint holds, and what looks wrong in it."""

import json
from typing import Any

from absl import flags as absl_flags

from indextts_jax.checkpoint.inspection.page import (
    array_data,
    checkpoint_data,
    format_bytes,
    format_statistics,
    page,
    stored_bytes,
    summary,
)
from indextts_jax.checkpoint.inspection.survey import (
    ComponentPart,
    Measured,
    damages,
    measured,
    parts,
)
from indextts_jax.checkpoint.reading import Checkpoint, CheckpointMismatch, open_checkpoint
from indextts_jax.cli import runner
from indextts_jax.cli.terminal import say, stage_bar
from indextts_jax.errors import InputError

COMMON = ("checkpoint", "verify", "stats", "components", "json")
POSITIONAL = ("checkpoint",)
EXAMPLES = ("show indextts2", "show indextts2 --verify", "show indextts2 --stats --components gpt")


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_string(
        "checkpoint", None, "Directory made by python -m indextts_jax.import.", **own
    )
    absl_flags.DEFINE_bool("verify", False, "Check the hash of every file.", **own)
    absl_flags.DEFINE_bool(
        "stats", False, "Print statistics of every array; those that look wrong are marked.", **own
    )
    absl_flags.DEFINE_list("components", None, "Only these components; by default all.", **own)
    absl_flags.DEFINE_bool("json", False, "Print everything as JSON.", **own)


def main(flags: Any) -> None:
    """Prints the requested sections; damage raises at the end, after everything was printed.

    Raises:
        InputError: if the checkpoint or a component is missing or damaged.
    """
    if not flags.checkpoint:
        raise InputError("name a checkpoint: python -m indextts_jax.show CHECKPOINT")
    saved = open_checkpoint(flags.checkpoint)
    names = tuple(flags.components or saved.components)
    if unknown := [name for name in names if name not in saved.components]:
        raise InputError(
            f"{flags.checkpoint} has no {', '.join(unknown)}; it has {', '.join(saved.components)}"
        )
    found = list(parts(saved, names))
    problems = {part.record.name: list(part.problems) for part in found}
    data = checkpoint_data(saved, found)
    if not flags.json:
        say(page(saved, found, names))
    if flags.verify:
        data["verified"] = _verify(saved, found, problems, quiet=flags.json)
    if flags.stats:
        arrays = _measure(saved, found, problems, digest=flags.verify)
        data["arrays"] = [array_data(array) for array in arrays]
        if not flags.json:
            say(format_statistics(found, arrays))
        data["summary"] = summary(arrays)
    damaged = [problem for of_part in problems.values() for problem in of_part]
    data["problems"] = damaged
    if flags.json:
        say(json.dumps(data, indent=1))
    if damaged:
        raise CheckpointMismatch(saved.path, damaged)
    if flags.stats and not flags.json:
        say(f"\n{data['summary']}")


def _verify(
    saved: Checkpoint, found: list[ComponentPart], problems: dict[str, list[str]], *, quiet: bool
) -> dict[str, bool]:
    """Whether each component matches its recorded hashes; differences are added to `problems`."""
    whole = {}
    if not quiet:  # opening the checkpoint compared these hashes
        say(f"{', '.join(file.name for file in saved.provenance.files)}: all hashes match")
    with stage_bar("Verifying") as on_stage:
        for part in found:
            name = part.record.name
            known = set(problems[name])
            wrong = damages(saved, part.record, on_stage)
            problems[name] += [problem for problem in wrong if problem not in known]
            whole[name] = not problems[name]
            if not quiet:
                files = f"{len(part.record.files)} files, {format_bytes(stored_bytes(part))}"
                say(f"{name}: {'all hashes match' if whole[name] else 'DAMAGED'} ({files})")
    return whole


def _measure(
    saved: Checkpoint, found: list[ComponentPart], problems: dict[str, list[str]], *, digest: bool
) -> list[Measured]:
    arrays: list[Measured] = []
    with stage_bar("Measuring") as on_stage:
        for part in found:
            try:
                arrays += measured(saved, part.record, on_stage, digest=digest)
            except CheckpointMismatch as error:
                problems[part.record.name] += error.problems
    return arrays


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="show",
        summary="shows what a checkpoint holds, and what looks wrong in it.",
        common=COMMON,
        positional=POSITIONAL,
        examples=EXAMPLES,
    )
