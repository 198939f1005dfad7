"""Frames of chunks: places that are known before the end, the vocoder's margins."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support

from indextts_jax import Chunks, Timing
from indextts_jax.config import bundled_config
from indextts_jax.engine.streaming.frames import UNITS, FrameMap, frame_map
from indextts_jax.models.components import structure
from indextts_jax.models.length_regulator import nearest_indices
from indextts_jax.models.v25.half_rate_codec import reach as codec_reach
from indextts_jax.models.vocoder import reach
from indextts_jax.runtime.model import Model


def map_of(name: str = "indextts2", speed: float = 1.0, seams: str = "exact") -> FrameMap:
    model = Model(bundled_config(name), {}, None)
    return frame_map(model, Timing(speed=speed), Chunks(seams=seams))


def places(found: FrameMap, codes: int, frames: int) -> np.ndarray:
    """The row that each frame reads, as `LengthRegulator.at_ratio` computes it."""
    rows = np.floor(np.arange(frames, dtype=np.float32) * found.ratio).astype(int)
    return np.minimum(rows, found.rows_per_code * codes - 1)


@pytest.mark.parametrize(
    ("name", "rows", "frames"), [("indextts2", 25, 43), ("indextts2_5", 50, 86)]
)
def test_whole_units_have_the_places_of_the_whole_segment(
    name: str, rows: int, frames: int
) -> None:
    found = map_of(name)
    for units in range(1, 61):
        assert found.frames(25 * units) == units * frames
        ours = places(found, 25 * units, units * frames)
        assert np.array_equal(ours, nearest_indices(units * rows, units * frames))


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("name", ["indextts2", "indextts2_5"])
def test_frames_of_codes_are_those_that_read_them(name: str, speed: float) -> None:
    found = map_of(name, speed)
    read = places(found, 2000, 4000) // found.rows_per_code
    for codes in range(0, 500, 7):
        first = int(np.argmax(read >= codes))  # that reads what is behind them
        assert first - 1 <= found.frames(codes) <= first


def test_published_sizes_have_the_margins_that_the_design_counts_on() -> None:
    exact, fast = map_of(), map_of(seams="fast")
    assert (exact.look_ahead, exact.margin, exact.reach) == (13, 38, 38)
    assert (fast.look_ahead, fast.margin, fast.reach) == (13, 20, 38)
    assert codec_reach(bundled_config("indextts2_5").semantic_codec) == 40  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [1, 65, 66, 108, 495, 1226, 1227, 3000])
def test_padded_lengths_hold_their_frames(frames: int) -> None:
    found = map_of()
    assert frames <= found.padded(frames)
    assert found.padded(frames) in [43 * k + 22 for k in (*UNITS, 56, 84)]


@pytest.fixture(scope="module")
def vocode() -> Any:
    vocoder = structure("vocoder", support.tiny_config())
    params = jax.tree.map(jnp.asarray, support.tiny_params("vocoder"))
    run = jax.jit(lambda params, *given: vocoder.bind(params)(*given))
    return lambda mel: np.asarray(run(params, mel[None], np.asarray([len(mel)])))[0]


def in_chunks(vocode: Any, mel: np.ndarray, size: int, margin: int, left: int) -> np.ndarray:
    """Samples of a mel that comes `size` frames at a time, each made as soon as it may be."""
    made, done = [], 0
    for known in range(size, len(mel) + 1, size):
        start = max(0, done - left)
        end = known if known == len(mel) else max(done, known - margin)
        made.append(vocode(mel[start:known])[(done - start) * 256 : (end - start) * 256])
        done = end
    return np.concatenate(made)


@pytest.mark.nightly
def test_vocoder_in_chunks_equals_the_whole(vocode: Any) -> None:
    margin = reach(support.tiny_config().vocoder)
    mel = np.random.default_rng(0).standard_normal((3 * 43, 80)).astype(np.float32)
    whole = vocode(mel)
    support.assert_close(in_chunks(vocode, mel, 43, margin, margin), whole, "vocoder.chunks")
    fast = in_chunks(vocode, mel, 43, 20, margin)
    assert 0 < support.relative_errors(fast, whole)[0] < 1e-3


@pytest.mark.nightly
def test_margin_is_as_long_as_the_vocoder_reaches(vocode: Any) -> None:
    """A frame beyond the margin changes nothing; the vocoder's reach is no estimate."""
    margin = reach(support.tiny_config().vocoder)
    mel = np.random.default_rng(1).standard_normal((3 * 43, 80)).astype(np.float32)
    other, frame = mel.copy(), 64
    other[frame] += 100
    changed = np.flatnonzero(vocode(mel) != vocode(other)) // 256
    assert frame - margin <= changed.min()
    assert changed.max() <= frame + margin
