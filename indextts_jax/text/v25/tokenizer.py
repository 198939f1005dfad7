"""Text to text tokens in version 2.5: special tokens, then byte-level BPE by ranks."""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Regex
from tokenizers import Tokenizer as Encoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

from indextts_jax.errors import InputError
from indextts_jax.text.v25.special_tokens import SPECIAL_TOKENS

WORD = "\u2581"  # shown for the space that begins a piece, as in version 2
# GPT-2's pattern: what it separates is never merged.
_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_SPECIAL = re.compile(r"<\|[^|]+\|>")


class RanksTokenizer:
    """Byte-level BPE from a file of ranks: ids of a text, and what each id spells.

    `model` holds the bytes of the file (`multilingual_zh_ja_yue_char_del.tiktoken`), which are
    stored beside the weights trained with it. Special tokens written in a text are encoded as such.

    Encoding is that of `tiktoken`, done by `tokenizers`: a whole piece that is a token, otherwise
    always the pair whose union has the lowest rank. (`tokenizers` has merges instead of ranks, so
    it gets each division of a token into two tokens as one, in the order of the ranks.)

    Source: `get_encoding` of the PyTorch release.
    """

    def __init__(self, model: str | Path | bytes):
        if isinstance(model, bytes):
            name, self.model = "the tokenizer", model
        else:
            name, self.model = str(model), _read(Path(model))
        self._tokens = _parsed(self.model, name)
        self._encoder = _encoder(self._tokens)
        self._special = {
            token: len(self._tokens) + index for index, token in enumerate(SPECIAL_TOKENS)
        }

    @property
    def size(self) -> int:
        """Ids: ranks and special tokens. A model's table of text tokens has one row more."""
        return len(self._tokens) + len(self._special)

    @property
    def sha256(self) -> str:
        """The hash of the file: token ids are only valid with this one."""
        return hashlib.sha256(self.model).hexdigest()

    def special_id(self, token: str) -> int | None:
        """The id of a special token such as `<|en|>`, or None if there is none of that name."""
        return self._special.get(token)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; empty for an empty text. `<|en|>` and the like give one id.

        Raises:
            InputError: for a text that cannot be encoded in UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the text is not Unicode at character {error.start + 1}") from error
        ids: list[int] = []
        for part in self._parts(text):
            special = self._special.get(part)
            if special is not None:
                ids.append(special)
            elif part:
                ids += self._encoder.encode(part).ids
        return ids

    def count(self, text: str) -> int:
        """The number of ids of a text."""
        return len(self.encode(text))

    def spelled_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each id: a token may hold a part of a character, or several."""
        ranks = len(self._tokens)
        return [
            self._tokens[number] if number < ranks else SPECIAL_TOKENS[number - ranks].encode()
            for number in map(int, ids)
        ]

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """The text of each id; a part of a character as `<0xE3>`, byte by byte."""
        return [_shown(token) for token in self.spelled_bytes(ids)]

    def pieces(self, text: str) -> list[str]:
        """The text's tokens to look at, with a word mark for a space at the start."""
        spelt = self.spelled(self.encode(text))
        return [WORD + piece[1:] if piece.startswith(" ") else piece for piece in spelt]

    def unknown(self, text: str) -> list[str]:
        """The ideographs and signs of a text that no token holds whole, in order, with repetitions.

        They are encoded byte by byte: no id is lost, but a model has hardly learned what they are.
        Letters are not named: the few bytes of an alphabet come up often enough.
        """
        found = []
        for character, whole in _characters(self.spelled_bytes(self.encode(text))):
            # After a space, the space takes the first byte of some characters that have a token.
            if not whole and _rare(character) and len(self.encode(character)) > 1:
                found.append(character)
        return found

    def _parts(self, text: str) -> Iterator[str]:
        """The text cut before and after each special token."""
        start = 0
        for match in _SPECIAL.finditer(text):
            if match[0] in self._special:
                yield text[start : match.start()]
                yield match[0]
                start = match.end()
        yield text[start:]


def _characters(tokens: Sequence[bytes]) -> Iterator[tuple[str, bool]]:
    """The characters that the tokens spell, and whether one token holds all of each."""
    pending = b""
    for token in tokens:
        first = len(pending)
        pending += token
        whole = pending.decode(errors="ignore")
        # What `ignore` drops is the start of a character at the end: these tokens are valid UTF-8.
        place = 0
        for character in whole:
            yield character, place >= first
            place += len(character.encode())
        pending = pending[place:]


def _rare(character: str) -> bool:
    """Whether a character is an ideograph or a sign: one of too many to learn byte by byte."""
    if "IDEOGRAPH" in unicodedata.name(character, ""):
        return True
    return unicodedata.category(character)[0] not in "LMNP"


def _shown(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"<0x{byte:02X}>" for byte in token)


def _encoder(tokens: Sequence[bytes]) -> Encoder:
    ranks = {token: rank for rank, token in enumerate(tokens)}
    letters = _byte_letters()

    def spelt(token: bytes) -> str:
        return "".join(map(letters.__getitem__, token))

    merges = []
    for token in tokens:
        cuts = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        pairs = [(a, b) for a, b in cuts if a in ranks and b in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(spelt(a), spelt(b)) for a, b in pairs]
    vocabulary = {spelt(token): rank for token, rank in ranks.items()}
    encoder = Encoder(BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    split = Split(Regex(_PATTERN), behavior="isolated")
    encoder.pre_tokenizer = Steps([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    return encoder


def _byte_letters() -> list[str]:
    """A printable character for each byte: GPT-2's table, which `ByteLevel` uses."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _parsed(model: bytes, name: str) -> list[bytes]:
    """The tokens in the order of their ranks.

    Raises:
        InputError: if a line is not a token with the next rank, or if a byte has no token.
    """
    tokens: list[bytes] = []
    for number, line in enumerate(model.splitlines(), 1):
        if not line.strip():
            continue
        encoded, _, rank = line.partition(b" ")
        token: bytes | None
        try:
            token = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            # The published file has one token without bytes, which no text ever contains.
            token = b"" if encoded == b"=" else None
        if token is None or rank.strip() != str(len(tokens)).encode():
            raise InputError(
                f"{name}, line {number}: expected a token in base64 and the rank {len(tokens)}, "
                f"got {line[:60].decode('ascii', 'backslashreplace')!r}"
            )
        tokens.append(token)
    unique = set(tokens)
    if len(unique) != len(tokens):
        raise InputError(f"{name} is damaged: {len(tokens) - len(unique)} tokens appear twice")
    if missing := [byte for byte in range(256) if bytes([byte]) not in unique]:
        raise InputError(
            f"{name} is not a file of tokens and their ranks: {len(missing)} of the 256 bytes "
            "have no token"
        )
    return tokens


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
