"""Text to text tokens: CJK characters separated, upper case, SentencePiece."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from indextts_jax.errors import InputError

# Characters that are separated. As in the reference, full-width ASCII (U+FF01-FF64) is not.
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

_WORD = "\u2581"  # SentencePiece's mark for the start of a word


def split_cjk(text: str, upper: bool = True) -> str:
    """The text with spaces around every CJK character, by default in upper case.

    Other white space stays as it is.

    Source: `tokenize_by_CJK_char` of the PyTorch release.
    """
    parts = [part.strip() for part in _CJK.split(text.strip())]
    return " ".join(part.upper() if upper else part for part in parts if part)


class Tokenizer:
    """A SentencePiece model: the pieces of a text and their ids.

    `model` holds the bytes of the model, which are stored beside the weights trained with it.

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
        """The hash of the model: token ids are only valid with this one."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def unknown_id(self) -> int:
        """The id of `<unk>`."""
        return int(self._processor.unk_id())

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text; empty for an empty text.

        As in the reference, a single character goes to SentencePiece unchanged: `a` stays lower
        case.

        Raises:
            InputError: for a text that cannot be encoded in UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the text is not Unicode at character {error.start + 1}") from error
        plain = text if len(text.strip()) == 1 else split_cjk(text)
        return list(self._processor.encode(plain, out_type=str))

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The id of each piece; that of `<unk>` for unknown pieces."""
        return [int(self._processor.piece_to_id(piece)) for piece in pieces]

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """The text of each id, with spaces for word marks; empty for `<unk>` and control tokens."""
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
        """The pieces of a text that the vocabulary lacks, in order, with repetitions."""
        pieces = self.pieces(text)
        return [p for p, i in zip(pieces, self.ids(pieces), strict=True) if i == self.unknown_id]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
