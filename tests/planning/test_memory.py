"""Settings that fit a limit of device memory."""

import dataclasses
from typing import Any

import golden_copies
import pytest
import support

from indextts_jax.config import RunConfig
from indextts_jax.engine.settings import Settings, max_codes_of
from indextts_jax.errors import InputError
from indextts_jax.planning import memory
from indextts_jax.planning.memory import Need, fit, parse_size
from indextts_jax.runtime.model import Model
from indextts_jax.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * 10**9),
        ("8 gb", 8 * 10**9),
        ("1.5G", 15 * 10**8),
        ("512MiB", 512 * 2**20),
        ("2GiB", 2**31),
        ("4096B", 4096),
        ("100kB", 10**5),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "eight", "-8GB", "0GB", "8TB!", "0.1"])
def test_invalid_size_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="is not a memory size: expected one like 8GB"):
        parse_size(text)


def test_a_size_without_a_unit_is_rejected() -> None:
    with pytest.raises(InputError, match="'8' has no unit: expected a memory size like 8GB"):
        parse_size("8")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model whose needs are simple: 100 of parameters (half: 50), and codes times batch."""
    seen: list[str] = []
    tokenizer = Tokenizer(support.CHECKPOINTS / "bpe.model")

    def load(path: Any, run: RunConfig, *, lazy: bool) -> Model:
        assert lazy  # nothing is loaded to choose
        assert not run.fused_attention
        return Model(support.tiny_config(), {}, tokenizer, run=run)

    def parameters(model: Any, names: Any = ()) -> int:
        return 50 if model.run.compute_dtype("gpt") == "bfloat16" else 100

    def need(model: Any, settings: Settings, frames: int | None = None) -> Need:
        codes = max_codes_of(model, settings)
        seen.append(f"{settings.batch}x{codes} {model.run.compute_dtype('gpt')}")
        return Need(parameters(model), settings.batch * codes, "flow")

    monkeypatch.setattr(memory, "load_model", load)
    monkeypatch.setattr(memory, "dry_run_model", lambda model: model)
    monkeypatch.setattr(memory, "parameters", parameters)
    monkeypatch.setattr(memory, "speaking_need", need)
    monkeypatch.setattr(memory, "analysis_need", lambda model: Need(10, 10, "encoder"))
    return seen


WISH = Settings(batch=4, max_codes=150)


@pytest.mark.parametrize(
    ("limit", "batch", "codes", "dtype"),
    [
        (10_000, 4, 150, None),
        (450, 2, 150, None),  # 100 + 2 * 150
        (230, 1, 128, None),  # the batch goes first, then the codes
        (165, 1, 64, None),
        (120, 1, 64, "bfloat16"),  # precision is the last to go
    ],
)
def test_savings_are_applied_in_order(
    made_up: list[str], limit: int, batch: int, codes: int, dtype: str | None
) -> None:
    found = fit("x", limit, WISH)
    assert (found.settings.batch, found.settings.max_codes) == (batch, codes)
    assert found.run.dtype == dtype
    assert found.need.total <= limit


def test_a_dtype_that_is_asked_for_stays(made_up: list[str]) -> None:
    with pytest.raises(InputError, match=r"max_memory 0 MB is too small; this needs at least"):
        fit("x", 120, WISH, RunConfig(dtype="float32"))


def test_a_text_that_needs_its_codes_keeps_them(made_up: list[str]) -> None:
    assert fit("x", 200, WISH, seconds=2.0).run.dtype == "bfloat16"


def test_nothing_is_compiled_where_the_parameters_alone_are_too_much(made_up: list[str]) -> None:
    with pytest.raises(InputError, match="this needs at least"):
        fit("x", 40, WISH)
    assert made_up == []


@pytest.mark.nightly
def test_the_needs_are_those_of_compiled_programs() -> None:
    """Of the tiny set: a batch needs more than one segment, and a limit below halves it."""
    checkpoint = golden_copies.shared()
    wish = Settings(batch=4, max_codes=64, steps=2)
    most = fit(checkpoint, 10**10, wish)
    fewer = fit(checkpoint, most.need.total - 1, wish)
    voice_alone = fit(checkpoint, 10**10, dataclasses.replace(wish, batch=1), analyses=False)

    assert (most.settings.batch, most.run.dtype) == (4, None)
    assert most.need.parameters > 0
    assert most.need.program > 10**6
    assert fewer.need.total < most.need.total
    assert fewer.settings.batch == 2
    assert voice_alone.need.total < most.need.total
