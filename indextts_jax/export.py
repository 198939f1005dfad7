"""`python -m indextts_jax.export`: writes a run as a checkpoint, published files or an adapter."""

import dataclasses
from typing import Any

from absl import flags as absl_flags

from importers.export import library
from importers.export.library import FORMATS, OURS, TARGETS, ExportOptions
from importers.export.source import Source, open_source
from importers.release.locate import AUXILIARY
from importers.text_emotion import FOLDER
from indextts_jax.cli import adapter_flags, runner
from indextts_jax.cli.terminal import say
from indextts_jax.config import DTYPES
from indextts_jax.emotion.reader import COMPONENT as WORDS
from indextts_jax.errors import InputError
from indextts_jax.runtime.adapters import AppliedAdapter

COMMON = ("run", "step", "checkpoint", *adapter_flags.FLAGS, "to", "base", "dst", "format", "force")
EXAMPLES = (
    "export --run runs/anna --to checkpoint --dst anna_model",
    "export --run runs/anna --to published --base checkpoints --dst published",
    "export --run runs/anna --to adapter --dst anna_adapter",
    "export --checkpoint indextts2 --adapter anna --to checkpoint --dst new",
)


def define(flags: absl_flags.FlagValues) -> None:
    """Defines a flag for each field of `ExportOptions`, and those of adapters."""
    own: dict[str, Any] = {"flag_values": flags}
    text, choice = absl_flags.DEFINE_string, absl_flags.DEFINE_enum
    text("run", None, "Directory of a run of python -m indextts_jax.train.", **own)
    absl_flags.DEFINE_integer("step", None, "Step of the run; by default its best.", **own)
    text("checkpoint", None, "Checkpoint to export instead of a run.", **own)
    adapter_flags.define(own)
    choice(
        "to",
        None,
        list(TARGETS),
        "What to write: our checkpoint, the published files, or an adapter.",
        **own,
    )
    text(
        "base",
        None,
        "Directory of published files, for the arrays that our checkpoints do not hold (training "
        "heads, unused layers); without it they are zeros.",
        **own,
    )
    text("dst", None, "Directory to write.", **own)
    choice("format", OURS, list(FORMATS), "Format of an adapter: ours or PEFT's.", **own)
    choice(
        "dtype",
        None,
        list(DTYPES),
        "Stored dtype of a checkpoint's weights or an adapter's factors; by default unchanged.",
        **own,
    )
    text(
        "settings",
        None,
        "YAML file of the checkpoint's default settings for speech, for example steps: 10.",
        **own,
    )
    absl_flags.DEFINE_bool("force", False, "Replace an earlier export at --dst.", **own)
    for auxiliary in AUXILIARY.values():
        text(
            auxiliary.flag,
            None,
            f"Directory or file of {auxiliary.repository}, if not at its usual place in --base.",
            **own,
        )
    text(WORDS, None, f"Directory of the text-to-emotion model, if not {FOLDER} in --base.", **own)


def main(flags: Any) -> None:
    """Exports, and prints what was written."""
    for flag in ("to", "dst"):
        if not getattr(flags, flag):
            raise InputError(f"give --{flag}")
    given = {field.name: getattr(flags, field.name) for field in dataclasses.fields(ExportOptions)}
    options = ExportOptions(**given)
    library.check(options)
    say(str(library.export(_source(flags), options)))


def _source(flags: Any) -> Source:
    """Opens a run at --step or its best step, or a checkpoint with the requested adapters.

    Raises:
        InputError: if neither is given, or both.
    """
    if bool(flags.checkpoint) == bool(flags.run):
        raise InputError("give --run DIR (a training run) or --checkpoint DIR")
    if flags.run:
        if flags.adapter:
            raise InputError("--adapter needs --checkpoint: a run has its own adapters")
        # Imported here: training pulls in packages that the other exports do not need.
        from indextts_jax.training.trained import open_run

        run = open_run(flags.run, flags.step)
        return Source(
            flags.run,
            run.config,
            run.tokenizer,
            run.checkpoint,
            run.components,
            tuple(map(AppliedAdapter, run.adapters)),
            run.notes,
        )
    if flags.step is not None:
        raise InputError("--step needs --run")
    return open_source(flags.checkpoint, adapter_flags.read(flags))


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="export",
        summary="writes a run as a checkpoint, published files or an adapter.",
        common=COMMON,
        examples=EXAMPLES,
    )
