"""The special tokens of version 2.5, numbered after the ranks of its tokenizer.

Source: `get_encoding` of the PyTorch release.
"""

from indextts_jax.text.v25.language_codes import CODES, TAGGED

PINYIN = "<|SPECIAL_TOKEN_2|>"  # on both sides of the reading of an ideograph
PHONEMES = "<|SPECIAL_TOKEN_1|>"  # on both sides of another reading
_SOUNDS = ("Speech", "/Speech", "BGM", "/BGM", "Laughter", "/Laughter", "Applause", "/Applause")
_NAMES = (
    *("endoftext", "startoftranscript"),
    *CODES[:TAGGED],
    *("ASR", "AED", "SER", *_SOUNDS),
    *("HAPPY", "SAD", "ANGRY", "NEUTRAL"),
    *("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"),
    *(f"SPECIAL_TOKEN_{number}" for number in range(1, 31)),
    *(f"TTS/{name}" for name in ("B", "O", "Q", "A", "CO", "CL", "H")),
    *(f"TTS/SP{number:02}" for number in range(1, 14)),
    *(f"{fiftieths * 0.02:.2f}" for fiftieths in range(1501)),  # seconds
)
SPECIAL_TOKENS = tuple(f"<|{name}|>" for name in _NAMES)  # in the order of their ids
