"""`python -m indextts_jax.import`: converts the published files to a checkpoint."""

import dataclasses
from typing import Any

from absl import flags as absl_flags

from importers import library
from importers.assembly import NAMED, WORDS, ImportOptions
from importers.release.locate import AUXILIARY
from importers.text_emotion import FOLDER
from indextts_jax.cli.terminal import count_bar, say
from indextts_jax.config import DTYPES

SUMMARY = "converts the published PyTorch files to a checkpoint of this program."
COMMON = ("src", "dst", "dtype", "components", "ignore", "force", "dry_run")
EXAMPLES = (
    "import --src checkpoints/ --dst indextts2",
    "import --src checkpoints/ --dst indextts2 --dtype bfloat16",
    "import --components text_emotion --src checkpoints/ --dst indextts2",
)


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command: one for each field of `ImportOptions`."""
    own: dict[str, Any] = {"flag_values": flags}
    text, words, switch = absl_flags.DEFINE_string, absl_flags.DEFINE_list, absl_flags.DEFINE_bool
    text("src", None, "Directory of the published files: config.yaml, gpt.pth, ...", **own)
    text(
        "dst",
        None,
        f"Directory to write the checkpoint to (by default {library.DEFAULT_DST} in --src).",
        **own,
    )
    absl_flags.DEFINE_enum(
        "dtype", DTYPES[0], list(DTYPES), "Dtype of stored weights; tables stay float32.", **own
    )
    words(
        "components",
        None,
        f"Import only these of {', '.join(NAMED)}; a checkpoint at --dst keeps its others.",
        **own,
    )
    switch(
        "training",
        False,
        "Keep what only training needs, too: the GPT's text head, as component training_heads.",
        **own,
    )
    words(
        "ignore",
        [],
        "Exact names of keys of config.yaml (bigvgan.KEY, w2v_bert.KEY and text_emotion.KEY: of "
        "those models' own config.json), and of arrays, to pass over. They are noted in the "
        "checkpoint.",
        **own,
    )
    switch(
        "force",
        False,
        "Replace the checkpoint that is at --dst (with --components: those of them that it has).",
        **own,
    )
    switch(
        "dry_run", False, "Check names, shapes and settings, read no weights, write nothing.", **own
    )
    for auxiliary in AUXILIARY.values():
        text(
            auxiliary.flag,
            None,
            f"Directory or file of {auxiliary.repository}, if it is not where it belongs in --src.",
            **own,
        )
    text(
        WORDS,
        None,
        f"Directory of the text-to-emotion model, if it is not {FOLDER} in --src.",
        **own,
    )


def main(flags: absl_flags.FlagValues) -> None:
    """Reads the flags, imports, prints the table."""
    given = {field.name: flags[field.name] for field in dataclasses.fields(ImportOptions)}
    values: dict[str, Any] = {name: flag.value for name, flag in given.items()}
    if given["dtype"].using_default_value:
        values["dtype"] = None  # the dtype of the checkpoint that components are added to
    with count_bar("Importing", " arrays") as show:
        imported = library.run(ImportOptions(**values), show)
    say(str(imported))
