"""Damage of any kind: a refusal on one line, or the file is still readable; nothing else."""

import random
from pathlib import Path

import pytest
from fuzzing import READERS, VALUE, Reader, attempt, opcodes, packed
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

EXAMPLES = 120
RANDOM = st.randoms(use_true_random=False) | st.builds(random.Random, st.integers(0, 2**32))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_what_is_sound(tmp_path: Path, name: str) -> None:
    reader = READERS[name]
    for number, data in enumerate(reader.sound()):
        path = tmp_path / f"{number}{reader.ending}"
        whole = packed(VALUE, lambda entries, data=data: entries.update({PICKLE: data}))
        path.write_bytes(whole if name == "pickle" else data)
        assert attempt(reader, path) == (f"{name} {number}" != "archive 1")  # that one is packed


PICKLE = "archive/data.pkl"


@pytest.mark.parametrize("name", READERS)
@seed(0)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(rng=RANDOM)
def test_damage_does_no_harm(name: str, tmp_path_factory: pytest.TempPathFactory, rng) -> None:
    harmless(READERS[name], tmp_path_factory.getbasetemp() / f"fuzzed{READERS[name].ending}", rng)


def harmless(reader: Reader, path: Path, rng: random.Random) -> None:
    path.write_bytes(reader.damage(rng, rng.choice(reader.sound())))
    attempt(reader, path)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(data=st.binary(max_size=200))
def test_random_pickles_do_no_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.pth"
    path.write_bytes(packed(None, lambda entries: entries.update({PICKLE: b"\x80\x02" + data})))
    attempt(READERS["pickle"], path)


def test_a_pickle_is_the_sum_of_its_opcodes() -> None:
    (pickle,) = READERS["pickle"].sound()
    assert b"".join(opcodes(pickle)) == pickle
