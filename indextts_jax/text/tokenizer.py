"""Text to text tokens: CJK characters apart, upper case, SentencePiece."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from indextts_jax.errors import InputError

# Characters that stand alone. The block of full-width ASCII (U+FF01-FF64) is not among them.
_CJK = re.compile(
    "(["
    "\u1100-\u11ff"  # Hangul Jamo
    "\u2e80-\ua4cf"  # radicals, CJK punctuation, kana, bopomofo, ideographs, Yi
    "\ua840-\ud7af"  # Hangul syllables, and the blocks before them
    "\uf900-\ufaff"  # compatibility ideographs
    "\ufe30-\ufe4f"  # compatibility forms
    "\uff65-\uffdc"  # half-width kana and Hangul
    "\U00020000-\U0002ffff"  # the supplementary ideographic plane
    "])"
)

_WORD = "\u2581"  # SentencePiece's mark of where a word begins


def split_cjk(text: str, upper: bool = True) -> str:
    """The text with every CJK character set apart by spaces, in upper case unless told otherwise.

    White space within what is not CJK stays as it is.

    Source: `tokenize_by_CJK_char` of the PyTorch release.
    """
    parts = [part.strip() for part in _CJK.split(text.strip())]
    return " ".join(part.upper() if upper else part for part in parts if part)


class Tokenizer:
    """A SentencePiece model, which gives the pieces of a text and their ids.

    `model` holds the model's bytes, to be stored beside the weights that were trained with it.

    Source: `TextTokenizer` of the PyTorch release.
    """

    def __init__(self, model: str | Path | bytes):
        if isinstance(model, bytes):
            name, self.model = "the tokenizer", model
        else:
            name, self.model = str(model), _read(Path(model))
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError as error:
            raise InputError(f"{name} is not a SentencePiece model") from error

    @property
    def size(self) -> int:
        """Pieces in the vocabulary."""
        return int(self._processor.get_piece_size())

    @property
    def sha256(self) -> str:
        """The hash of the model: text tokens mean nothing to another one."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def unknown_id(self) -> int:
        """The id of `<unk>`."""
        return int(self._processor.unk_id())

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text, none of an empty one.

        A text of one character goes to SentencePiece as it is, so a lone `a` stays lower case.

        Raises:
            InputError: for a text that has no UTF-8 form.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the text is not Unicode at character {error.start + 1}") from error
        plain = text if len(text.strip()) == 1 else split_cjk(text)
        return list(self._processor.encode(plain, out_type=str))

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The id of each piece, looked up by its text; that of `<unk>` for what is unknown."""
        return [int(self._processor.piece_to_id(piece)) for piece in pieces]

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for in a text, a word mark as a space; nothing for `<unk>`."""
        processor = self._processor
        plain = [int(number) for number in ids]
        silent = (processor.is_unknown, processor.is_control, processor.is_byte)
        return [
            ""
            if any(of_kind(number) for of_kind in silent)
            else str(processor.id_to_piece(number)).replace(_WORD, " ")
            for number in plain
        ]

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces, without start and stop."""
        return self.ids(self.pieces(text))

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that the vocabulary lacks, in order, as often as they come."""
        pieces = self.pieces(text)
        return [p for p, i in zip(pieces, self.ids(pieces), strict=True) if i == self.unknown_id]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
