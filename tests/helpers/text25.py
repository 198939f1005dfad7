"""What the tests of version 2.5's text side share: recorded texts and both sets of ranks."""

import functools
import json
from pathlib import Path

import support

from indextts_jax.text.v25.tokenizer import RanksTokenizer

TINY = support.DATA / "tiny25"
RANKS = "multilingual_zh_ja_yue_char_del.tiktoken"
SMALL = TINY / "checkpoints" / RANKS


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TINY_ROWS = rows(TINY / "text.jsonl")
PUBLISHED_ROWS = rows(support.DATA / "text" / "v25" / "v25_front_end.jsonl")


@functools.cache
def small() -> RanksTokenizer:
    """The tokenizer of the tiny set, with 676 ranks."""
    return RanksTokenizer(SMALL)


@functools.cache
def published() -> RanksTokenizer:
    """The published tokenizer; the test is skipped where the real data is not."""
    return RanksTokenizer(support.real(RANKS))
