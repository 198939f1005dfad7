"""The tokenizer of each version: whether its file can be used with the weights."""

from collections.abc import Callable

import sentencepiece

from importers.release.locate import Located
from importers.release.settings import Published
from indextts_jax.errors import InputError
from indextts_jax.text.v25.tokenizer import RanksTokenizer


def problems(located: Located, published: Published, version: str) -> list[str]:
    """Problems with the tokenizer's file."""
    return _CHECKS[version](located, published)


def _sentencepiece(located: Located, published: Published) -> list[str]:
    """Not a SentencePiece model, or ids beyond the text embedding."""
    label = located.name("tokenizer")
    if not located.files["tokenizer"].stat().st_size:
        return [f"{label} is empty: expected a SentencePiece model"]
    try:
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=located.files["tokenizer"].read_bytes()
        )
    except (RuntimeError, OSError) as error:
        return [f"{label}: not a SentencePiece model ({' '.join(str(error).split())[:120]})"]
    pieces, ids = processor.get_piece_size(), published.gpt.number_text_tokens
    if pieces < ids:
        return [f"{label} has only {pieces} pieces, but gpt.number_text_tokens is {ids}"]
    if pieces > ids:
        return [f"{label} has {pieces} pieces, but gpt.number_text_tokens is {ids}"]
    return []


def _ranks(located: Located, published: Published) -> list[str]:
    """Not a file of ranks, or another number of ids than text tokens."""
    label = located.name("tokenizer")
    try:
        tokenizer = RanksTokenizer(located.files["tokenizer"].read_bytes())
    except InputError as error:
        return [f"{label}: {error}"]
    except OSError as error:
        return [f"{label}: {error.strerror}"]
    ids, tokens = tokenizer.size, published.gpt.number_text_tokens
    if ids != tokens:
        return [
            f"{label} has {ids} ids (ranks and special tokens), but gpt.number_text_tokens is "
            f"{tokens}"
        ]
    return []


_CHECKS: dict[str, Callable[[Located, Published], list[str]]] = {
    "2.0": _sentencepiece,
    "2.5": _ranks,
}
