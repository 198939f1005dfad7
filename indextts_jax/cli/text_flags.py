"""Flags for reading a text, shared by all commands that read one."""

import codecs
import sys
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from indextts_jax.cli.terminal import warn
from indextts_jax.errors import InputError
from indextts_jax.text.frontend import Script, TextSettings
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.notices import text_notices

FLAGS = (
    "language",
    "glossary",
    "pause",
    "segment_tokens",
    "max_segment_tokens",
    "quick_tokens",
    "strict_text",
    "text_compat",
)

STDIN = "-"  # name of a file that stands for standard input
MAX_TEXT = 10_000_000  # characters; a long novel has a third of that


def define(flags: absl_flags.FlagValues) -> None:
    """Defines the flags; the command itself defines --segment_tokens first."""
    own: dict[str, Any] = {"flag_values": flags}
    usual = TextSettings()
    absl_flags.DEFINE_alias("max_segment_tokens", "segment_tokens", **own)
    absl_flags.DEFINE_bool(
        "text_compat",
        usual.compat,
        "Normalize text as the PyTorch release does, errors included.",
        **own,
    )
    absl_flags.DEFINE_string(
        "glossary", None, "YAML file of terms and their readings (zh and en).", **own
    )
    absl_flags.DEFINE_bool(
        "strict_text",
        usual.strict,
        "Reject a text with pieces that the tokenizer does not know.",
        **own,
    )
    absl_flags.DEFINE_integer(
        "quick_tokens",
        usual.quick_tokens,
        "Halve segments that begin before this many tokens, so that the first sound comes earlier.",
        **own,
    )
    absl_flags.DEFINE_float(
        "pause",
        usual.pause,
        "Seconds of silence between segments, half of it after a comma; see also [pause 0.8s].",
        **own,
    )


def define_language(flags: absl_flags.FlagValues) -> None:
    """Defines --language, for commands that read a text."""
    absl_flags.DEFINE_string(
        "language",
        None,
        "Language of the text, for IndexTTS-2.5: zh, en, ja, es, ar or another code; by default "
        "auto, which finds it in the text.",
        flag_values=flags,
    )


def glossary(flags: Any) -> Glossary | None:
    """The requested glossary.

    Raises:
        InputError: if it cannot be read.
    """
    return Glossary.load(flags.glossary) if flags.glossary else None


def reading(flags: Any) -> TextSettings:
    """Text settings from the flags, for a front end without a model.

    Raises:
        InputError: for invalid settings or a bad glossary.
    """
    return TextSettings(
        compat=flags.text_compat,
        segment_tokens=flags.segment_tokens,
        quick_tokens=flags.quick_tokens,
        pause=flags.pause,
        glossary=glossary(flags),
        strict=flags.strict_text,
    )


def show_notices(script: Script) -> None:
    """Prints warnings about a text.

    Raises:
        InputError: if the tokenizer knows no piece of it.
    """
    for line in text_notices(script):
        warn(line)


def read_text(path: Path) -> str:
    """The contents of a text file, or of standard input for the name `-`.

    It is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        InputError: if it has another encoding, or is too long.
    """
    name = "standard input" if str(path) == STDIN else str(path)
    most = 4 * MAX_TEXT + 4  # bytes: a character has at most four, and a mark may come first
    if str(path) == STDIN:
        data = sys.stdin.buffer.read(most)
    else:
        with path.open("rb") as file:
            data = file.read(most)
    marked = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if not marked and 3 * data[:256].count(0) > len(data[:256]):
        raise InputError(f"{name} is UTF-16 without a mark at its start; save it as UTF-8")
    try:
        # The last character of what is too long anyway may be cut off.
        text = data.decode("utf-16" if marked else "utf-8-sig") if len(data) < most else ""
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8 text: {error.reason}; save it as UTF-8 (it may be GB 18030, "
            "UTF-16 or Windows-1252)"
        ) from error
    if len(data) == most or len(text) > MAX_TEXT:
        raise InputError(f"{name} has more than {MAX_TEXT:,} characters: speak it in parts")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def given_text(flags: Any) -> str:
    """The text of --text or of --text_file, one of which must be given."""
    if (flags.text is None) == (flags.text_file is None):
        raise InputError("give either --text or --text_file")
    return str(flags.text) if flags.text is not None else read_text(Path(flags.text_file))


def text_to_speak(flags: Any, default: str | None = None) -> str:
    """The text of --text or of --text_file, or else the default.

    Raises:
        InputError: if both or neither are given, or the text is empty.
    """
    if flags.text is not None and flags.text_file is not None:
        raise InputError("--text and --text_file are mutually exclusive")
    if flags.text_file is not None:
        text, name = read_text(Path(flags.text_file)), f"{flags.text_file} is empty"
    elif flags.text is not None:
        text, name = str(flags.text), "the text is empty"
    elif default is not None:
        return default
    else:
        raise InputError("no text: give --text or --text_file")
    if not text.strip():
        raise InputError(f"{name}: there is nothing to speak")
    return text
