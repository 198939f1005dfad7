"""`python -m indextts_jax.export`: a run to a checkpoint, published files, or an adapter."""

import dataclasses
from typing import Any

from absl import flags as absl_flags

from importers.export import library
from importers.export.library import FORMATS, OURS, TARGETS, ExportOptions
from importers.export.source import Source, open_source
from importers.release.locate import AUXILIARY
from importers.text_emotion import FOLDER
from indextts_jax.cli import adapter_flags, runner
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
    """The flags of this command: one for each field of `ExportOptions`, and those of adapters."""
    own: dict[str, Any] = {"flag_values": flags}
    text, choice = absl_flags.DEFINE_string, absl_flags.DEFINE_enum
    text("run", None, "Folder of a run of python -m indextts_jax.train.", **own)
    absl_flags.DEFINE_integer("step", None, "Of the run; by default its best.", **own)
    text("checkpoint", None, "Checkpoint to export instead.", **own)
    adapter_flags.define(own)
    choice(
        "to", None, list(TARGETS), "A checkpoint of ours, published files, or an adapter.", **own
    )
    text(
        "base",
        None,
        "Folder of published files that give what is not ours (heads for training, unused layers); "
        "without it, zeros.",
        **own,
    )
    text("dst", None, "Folder to write.", **own)
    choice("format", OURS, list(FORMATS), "Of an adapter: ours, or that of PEFT.", **own)
    choice(
        "dtype",
        None,
        list(DTYPES),
        "Stored dtype of a checkpoint's weights or an adapter's factors; by default as it is.",
        **own,
    )
    text(
        "settings",
        None,
        "YAML file of what a checkpoint speaks with by default, for instance steps: 10.",
        **own,
    )
    absl_flags.DEFINE_bool("force", False, "Replace an earlier export at --dst.", **own)
    for auxiliary in AUXILIARY.values():
        text(
            auxiliary.flag,
            None,
            f"Folder or file of {auxiliary.repository}, if it is not where it belongs in --base.",
            **own,
        )
    text(WORDS, None, f"Folder of the text-to-emotion model, if not {FOLDER} in --base.", **own)


def main(flags: Any) -> None:
    """Reads the flags, exports, says what was written."""
    for flag in ("to", "dst"):
        if not getattr(flags, flag):
            raise InputError(f"give --{flag}")
    given = {field.name: getattr(flags, field.name) for field in dataclasses.fields(ExportOptions)}
    options = ExportOptions(**given)
    library.check(options)
    print(library.export(_source(flags), options))


def _source(flags: Any) -> Source:
    """The best step of a run, or a checkpoint with the adapters that are asked for.

    Raises:
        InputError: if neither is given, or both.
    """
    if bool(flags.checkpoint) == bool(flags.run):
        raise InputError("give --run DIR, a run of training, or --checkpoint DIR")
    if flags.run:
        if flags.adapter:
            raise InputError("--adapter belongs to --checkpoint: a run has its own")
        # Training brings much that other exports do without.
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
        raise InputError("--step belongs to --run")
    return open_source(flags.checkpoint, adapter_flags.read(flags))


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="export",
        summary="a run to a checkpoint, published files, or an adapter.",
        common=COMMON,
        examples=EXAMPLES,
    )
