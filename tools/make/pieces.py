"""Extends a tokenizer to the size of a text embedding."""

from sentencepiece import SentencePieceProcessor


def padded(tokenizer: bytes, pieces: int) -> bytes:
    """A SentencePiece model with unused pieces at its end, so that each text id has a piece."""
    have = SentencePieceProcessor(model_proto=tokenizer).get_piece_size()
    for number in range(have, pieces):
        name = f"<unused{number}>".encode()
        # Field 1, the text, and field 3, the type: unused. Messages of protobuf are merged by
        # concatenation, so what follows the model is one piece more.
        piece = bytes([0x0A, len(name)]) + name + bytes([0x18, 5])
        tokenizer += bytes([0x0A, len(piece)]) + piece
    return tokenizer
