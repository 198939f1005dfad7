"""ERes2Net on arrays of random numbers."""

import jax
import numpy as np
import pytest

from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges import eres2net
from indextts_jax.training.evaluation.judges.speaker import Speakers


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        scale = np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        values = rng.normal(size=shape).astype(np.float32) * scale
        return np.abs(values) + 0.5 if name.endswith("var") else values

    return {name: draw(name, shape) for name, shape in eres2net.shapes().items()}


def test_arrays_of_another_network_are_refused() -> None:
    given = {name: np.zeros(shape, np.float32) for name, shape in eres2net.shapes().items()}
    given |= {"bn1.num_batches_tracked": np.zeros(())}
    Speakers(given)
    del given["seg_1.bias"]
    given["conv1.weight"] = np.zeros((64, 1, 3, 3))
    given["extra"] = np.zeros(1)
    with pytest.raises(InputError, match=r"seg_1\.bias missing, and 2 more"):
        Speakers(given)
    assert sum(int(np.prod(shape)) for shape in eres2net.shapes().values()) == 6_631_936


@pytest.mark.nightly
def test_padding_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    banks = rng.normal(size=(1, 37, 80)).astype(np.float32)
    padded = np.pad(banks, ((0, 0), (0, 27), (0, 0)), constant_values=99.0)
    given, embed = arrays(), jax.jit(eres2net.embed)
    alone, long = (embed(given, one, np.asarray([37])) for one in (banks, padded))
    np.testing.assert_allclose(alone, long, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(alone), 1, rtol=1e-5)
