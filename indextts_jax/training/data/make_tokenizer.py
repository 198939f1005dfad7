"""Trains a SentencePiece tokenizer (characters or unigram) on the texts of a data set."""

import contextlib
import io
from collections.abc import Iterable

import sentencepiece

from indextts_jax.errors import InputError
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import language_of, normalise
from indextts_jax.text.pauses import split_pauses
from indextts_jax.text.reference.normalize import normalise_as_reference
from indextts_jax.text.rules.verbalise import Language
from indextts_jax.text.tokenizer import split_cjk

KINDS = ("char", "unigram")
START, STOP, UNKNOWN = 0, 1, 2  # as in the published tokenizer
_ALWAYS = "."  # appended to short texts by the front end


def spoken_form(text: str, *, compat: bool = False, glossary: Glossary | None = None) -> str:
    """A text as the front end passes it to the tokenizer: normalised, in upper case.

    Raises:
        InputError: for a text that the front end rejects.
    """
    usual = language_of(text)
    language: Language | None = "en" if usual == "en" else "zh" if usual else None
    parts = []
    for part in split_pauses(text):
        if compat:
            parts.append(normalise_as_reference(part.text, glossary))
        else:
            parts.append(normalise(part.text, glossary, language)[0])
    return split_cjk(" ".join(parts))


def of_clips(
    texts: Iterable[str],
    kind: str,
    pieces: int,
    *,
    compat: bool = False,
    glossary: Glossary | None = None,
) -> bytes:
    """A SentencePiece model for the texts of clips; unreadable texts are skipped.

    Raises:
        InputError: as `make_tokenizer`.
    """
    spoken = []
    for text in dict.fromkeys(texts):
        with contextlib.suppress(InputError):  # reported by the checks
            spoken.append(spoken_form(text, compat=compat, glossary=glossary))
    return make_tokenizer(spoken, kind, pieces)


def make_tokenizer(texts: Iterable[str], kind: str, pieces: int) -> bytes:
    """A SentencePiece model of at most `pieces` pieces, including the three special ones.

    `texts` are results of `spoken_form`. The same texts give the same model.

    Raises:
        InputError: for an unknown kind, or fewer pieces than the texts have characters.
    """
    if kind not in KINDS:
        raise InputError(
            f"make_tokenizer: expected {' or '.join(KINDS)}, got {kind!r:.40}", "make_tokenizer"
        )
    lines = sorted({text for text in texts if text.strip()})
    characters = {c for line in lines for c in line if not c.isspace()} | set(_ALWAYS)
    if not lines:
        raise InputError("there are no texts to make a tokenizer from")
    least = len(characters) + 4  # with the word-start mark
    if pieces < least:
        shown = "".join(sorted(characters))
        raise InputError(
            f"pieces must be at least {least} for the {len(characters)} characters of the texts "
            f"({shown[:80]}), got {pieces}",
            "pieces",
        )
    result = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=result,
            model_type=kind,
            vocab_size=pieces,
            character_coverage=1.0,
            required_chars=_ALWAYS,
            # The front end has already normalised; the default rules would add 240 kB to the file.
            normalization_rule_name="identity",
            hard_vocab_limit=False,
            bos_id=START,
            eos_id=STOP,
            unk_id=UNKNOWN,
            pad_id=-1,
            num_threads=1,  # more could change the order of sums
            max_sentence_length=2**16,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise InputError(f"cannot train a tokenizer on the texts: {error!s:.200}") from error
    return result.getvalue()
