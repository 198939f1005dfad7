"""`python -m indextts_jax.preview`: shows how a text will be read, without running a model."""

import textwrap
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli import runner, text_flags
from indextts_jax.cli.terminal import say
from indextts_jax.errors import InputError, printable_json
from indextts_jax.text.frontend import Script, TextFrontend, TextSettings
from indextts_jax.text.script_data import script_data
from indextts_jax.text.tokenizer import Tokenizer
from indextts_jax.text.v25.frontend import MultilingualFrontend
from indextts_jax.text.v25.languages import AUTO
from indextts_jax.text.v25.tokenizer import RanksTokenizer

COMMON = ("text", "text_file", "checkpoint", "tokenizer", "glossary", "segment_tokens", "json")
EXAMPLES = (
    'preview --checkpoint indextts2 --text "Room 305. [pause 0.8s] At 7:05."',
    "preview --tokenizer checkpoints/bpe.model --text_file letter.txt",
)
WIDTH = 96


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    usual = TextSettings()
    absl_flags.DEFINE_string("text", None, "Text to speak.", **own)
    absl_flags.DEFINE_string("text_file", None, "Text file (UTF-8) to speak.", **own)
    absl_flags.DEFINE_string(
        "checkpoint", None, "Directory made by python -m indextts_jax.import.", **own
    )
    absl_flags.DEFINE_string(
        "tokenizer",
        None,
        "Tokenizer file (bpe.model, or .tiktoken of IndexTTS-2.5), instead of a checkpoint.",
        **own,
    )
    text_flags.define_language(flags)
    absl_flags.DEFINE_integer(
        "segment_tokens", usual.segment_tokens, "Longest segment, in text tokens.", **own
    )
    text_flags.define(flags)
    absl_flags.DEFINE_bool("json", False, "Print everything as JSON.", **own)


def main(flags: Any) -> None:
    """Prints the normalized text, its segments and pauses.

    Raises:
        InputError: if text or tokenizer is missing, or the text is rejected.
    """
    script = _frontend(flags).prepare(text_flags.given_text(flags))
    if flags.json:
        say(printable_json(script_data(script), indent=2))
        return
    for line in _report(script):
        say(line)
    text_flags.show_notices(script)


def check_size(path: Path) -> None:
    """Rejects an empty file, which the library of tokenizers takes for one without pieces."""
    if not path.stat().st_size:
        raise InputError(f"{path} is empty: expected a SentencePiece model")


def _frontend(flags: Any) -> Any:
    if (flags.checkpoint is None) == (flags.tokenizer is None):
        raise InputError("give either --checkpoint DIR or --tokenizer FILE (bpe.model)")
    settings, language = text_flags.reading(flags), flags.language
    if flags.tokenizer is not None and flags.tokenizer.endswith(".tiktoken"):
        tokenizer = RanksTokenizer(flags.tokenizer)
        return MultilingualFrontend(tokenizer, settings, AUTO if language is None else language)
    if flags.tokenizer is not None:
        if language is not None:
            raise InputError(
                f"--language needs the tokenizer of IndexTTS-2.5 (.tiktoken), got {flags.tokenizer}"
            )
        if not Path(flags.tokenizer).is_dir() and Path(flags.tokenizer).exists():
            check_size(Path(flags.tokenizer))
        return TextFrontend(Tokenizer(flags.tokenizer), settings)
    from indextts_jax.checkpoint.reading import open_checkpoint  # takes seconds
    from indextts_jax.runtime.versions.registry import version_of

    saved = open_checkpoint(flags.checkpoint)
    version = version_of(saved.config)
    return version.frontend(version.tokenizer(saved.tokenizer), settings, language)


def _report(script: Script) -> list[str]:
    lines = [textwrap.fill(script.normalised, WIDTH) or "nothing to speak"]
    if script.lead:
        lines += ["", f"{script.lead:g} s of silence"]
    for number, segment in enumerate(script.segments, 1):
        time = segment.duration
        lines += [
            "",
            f"segment {number}: {len(segment.ids)} tokens, about {time.usual:.1f} s "
            f"({time.least:.1f} to {time.most:.1f}), then {segment.pause:g} s of silence",
            textwrap.indent(textwrap.fill(" ".join(segment.pieces), WIDTH - 2), "  "),
        ]
    seconds = sum(s.duration.usual + s.pause for s in script.segments) + script.lead
    tokens, count = sum(len(segment.ids) for segment in script.segments), len(script.segments)
    lines += [
        "",
        f"{count} segment{'s' * (count != 1)}, {tokens} tokens, about {seconds:.1f} s in all",
    ]
    return lines


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="preview",
        summary="shows how a text will be read, without running a model.",
        common=COMMON,
        examples=EXAMPLES,
    )
