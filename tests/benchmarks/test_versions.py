"""Both versions beside each other: the sums of rounds, and a tokenizer without a file."""

import pytest

from benchmarks import versions
from benchmarks.models import byte_ranks
from indextts_jax.text.v25.tokenizer import RanksTokenizer


def test_a_ratio_is_of_one_round() -> None:
    seconds = ((2.0, 1.0), (8.0, 2.0), (30.0, 10.0))  # of IndexTTS-2 and 2.5
    rounds = [{"2.0": {"codes": old}, "2.5": {"codes": new}} for old, new in seconds]
    found = versions.summed(rounds)["codes"]
    assert found["ratio"] == 3.0
    assert (found["2.0"]["median"], found["2.5"]["median"]) == (8.0, 2.0)


@pytest.mark.parametrize("text", ["hola", "今日"])
def test_bytes_are_the_tokens_of_a_model_without_files(text: str) -> None:
    assert len(RanksTokenizer(byte_ranks()).encode(text)) == len(text.encode())
