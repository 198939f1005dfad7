"""Rows of a data set: what a table's columns mean, which rows are refused, and the key of each."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from indextts_jax.config import EMOTIONS
from indextts_jax.errors import InputError, one_line
from indextts_jax.jobs.tables import Found, Source
from indextts_jax.utils.hashing import digest

OWN = ("text", "voice", "id", "seed", "speed", "language", "speaker", "glossary")
EMOTION = (
    "emotion",
    "emotion_text",
    "emotion_weights",
    "emotion_alpha",
    "emotion_random",
    "emotion_bias",
)
COLUMNS = (*OWN, *EMOTION)
MAX_CHARACTERS = 5_000  # of a row's text: minutes of speech

# Statuses of a row. Each row of a finished set has exactly one.
OK, FAULTY, SAME = "ok", "faulty", "same"
REFUSED, FAILED, KILLED = "refused", "failed", "killed_worker"
STATUSES = (OK, FAULTY, SAME, REFUSED, FAILED, KILLED)
UNSPOKEN = (REFUSED, FAILED, KILLED)  # counted by `max_failed`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """What rows have if their table says nothing else."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)  # ours to the table's
    voice: str | None = None
    seed: int = 0
    language: str | None = None
    max_characters: int = MAX_CHARACTERS

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.columns) - set(COLUMNS)):
            raise InputError(
                f"columns: {', '.join(unknown)} unknown; expected some of {', '.join(COLUMNS)}",
                "columns",
            )

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that are read, by their names in the tables."""
        return tuple(self.columns.get(name, name) for name in COLUMNS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row: a text to speak in a voice; or, with a `problem`, one that is refused."""

    number: int  # in the set, from 0
    id: str
    place: str  # in its table, for messages
    text: str = ""
    voice: str = ""
    seed: int = 0
    speed: float | None = None
    language: str | None = None
    speaker: str = ""
    glossary: str | None = None
    emotion: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # by field of `Emotion`
    base: str = ""  # directory of paths
    problem: str = ""

    @property
    def content(self) -> str:
        """All of the row as text; it changes if the table does."""
        data = dataclasses.asdict(self)
        del data["number"], data["place"], data["base"]
        return json.dumps(data, sort_keys=True, ensure_ascii=True)


def check_columns(source: Source, common: Common, first: Found | None) -> None:
    """Checks that a table has the columns that rows need.

    Raises:
        InputError: naming the columns that are missing.
    """
    names = source.header or tuple(first.columns if first is not None else ())
    if not names:
        return  # a listing of texts, or an empty table
    needed = dict.fromkeys(["text", *common.columns])
    if source.kind == "texts":
        needed = {}
    elif common.voice is None:
        needed["voice"] = None
    missing = [one for name in needed if (one := common.columns.get(name, name)) not in names]
    if missing:
        hint = "" if missing != ["voice"] else ", or give a voice for all rows"
        raise InputError(
            f"{source.name}: column {', '.join(missing)} is missing; it has {', '.join(names)}. "
            f"Map other names with columns, such as text=sentence{hint}",
            "columns",
            "voice",
        )


def row_of(found: Found, source: Source, number: int, at: int, common: Common) -> Row:
    """The row of a record; `at` is its number in the table, which names a row without an id."""

    def value(name: str) -> Any:
        got = found.columns.get(common.columns.get(name, name))
        return None if got is None or got == "" else got

    given = value("id")
    name = source.name.rstrip("/").rpartition("/")[2].rpartition(".")[0]
    own = str(given) if given is not None else f"{name}-{at:09}"
    row = Row(number=number, id=own, place=found.place, base=source.base, problem=found.problem)
    if row.problem:
        return row
    problems: list[str] = []
    text = value("text")
    if text is not None and not isinstance(text, str):
        problems.append(f"text: expected words, got {type(text).__name__}")
    elif text is None or not text.strip():
        problems.append("text: empty")
    text = text if isinstance(text, str) else ""
    problems += text_problems(text, common.max_characters)
    voice = value("voice") or common.voice
    if not isinstance(voice, str):
        problems.append("voice: expected a name or a path" if voice else "voice: none given")
        voice = ""
    seed = _number(value("seed"), "seed", problems, whole=True)
    if seed is not None and not 0 <= seed < 2**32:
        problems.append(f"seed: must be 0 to {2**32 - 1}, got {seed:.0f}")
        seed = 0
    speed = _number(value("speed"), "speed", problems)
    emotion = _emotion(value, problems)
    if len(own) > 500 or not own.isprintable():
        problems.append("id: expected at most 500 printable characters")
        row = dataclasses.replace(row, id=f"{name}-{at:09}")
    speaker, glossary, language = value("speaker"), value("glossary"), value("language")
    return dataclasses.replace(
        row,
        text=_storable(text) if not problems else "",
        voice=voice,
        seed=common.seed if seed is None else int(seed),
        speed=speed,
        language=common.language if language is None else str(language),
        speaker=_speaker(speaker, voice),
        glossary=None if glossary is None else str(glossary),
        emotion=emotion,
        problem=one_line("; ".join(problems)),
    )


def text_problems(text: str, most: int) -> list[str]:
    """Why a text is refused."""
    found = []
    if len(text) > most:
        found.append(f"text: {len(text):,} characters; at most {most:,}")
    if "\0" in text:
        found.append(f"text: contains NUL at character {text.index(chr(0)) + 1}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        found.append("text: not UTF-8")
    return found


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _speaker(given: Any, voice: str) -> str:
    """The name of the speaker, for training: by default the voice, without directory and suffix."""
    if given is not None:
        return str(given)
    name = voice.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _number(given: Any, name: str, problems: list[str], *, whole: bool = False) -> float | None:
    if given is None:
        return None
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        kind = "whole number" if whole else "number"
        problems.append(f"{name}: expected a {kind}, got {given!r:.40}")
        return None
    return number


def _emotion(value: Any, problems: list[str]) -> dict[str, Any]:
    """The emotion of a row, by field of `Emotion`."""
    found: dict[str, Any] = {}
    for name, field in (("emotion", "prompt"), ("emotion_text", "text")):
        if (given := value(name)) is not None:
            found[field] = str(given)
    if (weights := value("emotion_weights")) is not None:
        try:
            found["weights"] = _weights(weights)
        except (TypeError, ValueError, KeyError):
            problems.append(
                f"emotion_weights: expected {len(EMOTIONS)} numbers, or some by name such as "
                f"happy=0.5, got {weights!r:.60}"
            )
    if (alpha := _number(value("emotion_alpha"), "emotion_alpha", problems)) is not None:
        found["alpha"] = alpha
    for name in ("random", "bias"):
        given = value(f"emotion_{name}")
        if given is None:
            continue
        if (known := _SWITCHES.get(str(given).lower())) is None:
            problems.append(f"emotion_{name}: expected true or false, got {given!r:.40}")
        elif known:
            found[name] = True
    return found


_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _weights(given: Any) -> list[float]:
    """Eight weights from a list, a mapping, or words such as `happy=0.5,sad=0.2`."""
    if isinstance(given, str):
        words = [word.partition("=") for word in given.split(",")]
        named = all(sign for _, sign, _ in words)
        given = (
            {name.strip(): float(number) for name, _, number in words}
            if named
            else [float(number) for number, _, _ in words]
        )
    if isinstance(given, Mapping):
        known = {str(name): float(number) for name, number in given.items() if number is not None}
        if set(known) - set(EMOTIONS):
            raise ValueError
        given = [known.get(name, 0.0) for name in EMOTIONS]
    weights = [float(number) for number in given]
    if len(weights) != len(EMOTIONS) or not all(map(math.isfinite, weights)):
        raise ValueError
    return weights


def key_of(row: Row, common: str, recordings: Mapping[str, str]) -> str:
    """SHA-256 of all that a row's codes depend on.

    `common` is a hash of what all rows share (settings, checkpoint, version); `recordings` has the
    digest of each voice, emotion recording and glossary by its name in the row.
    """
    emotion = dict(row.emotion)
    if "prompt" in emotion:
        emotion["prompt"] = recordings.get(emotion["prompt"], "")
    return digest(
        [
            common,
            row.text,
            recordings.get(row.voice, row.voice),
            emotion,
            row.seed,
            row.speed,
            row.language,
            "" if row.glossary is None else recordings.get(row.glossary, ""),
            row.problem and row.id,  # refused rows are never equal
        ]
    )


def hash_rows(pairs: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of ids and keys in order: what a pack's result must have."""
    found = hashlib.sha256()
    for own, key in pairs:
        found.update(f"{json.dumps(own)} {key}\n".encode())
    return found.hexdigest()


def hash_content(rows: Sequence[Row]) -> str:
    """SHA-256 of the content of rows: what a pack's input must still be."""
    found = hashlib.sha256()
    for row in rows:
        found.update(row.content.encode() + b"\n")
    return found.hexdigest()
