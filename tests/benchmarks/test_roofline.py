"""The counts of the roofline, against those that were verified with a counter of operations."""

import pytest

from benchmarks import roofline
from benchmarks.roofline import Cost, Peak
from indextts_jax.config import bundled_config

PUBLISHED = bundled_config("indextts2")
COUNT = roofline.parameters


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    """To build the structures takes seconds, and most counts here are of the operations."""
    monkeypatch.setattr(roofline, "parameters", lambda config, component: 0)


def test_parameters_of_a_component():
    assert COUNT(PUBLISHED, "emotion_prototypes") == 73 * (192 + 1280)


def test_weights_are_read_in_their_width(monkeypatch):
    monkeypatch.setattr(roofline, "parameters", lambda config, component: 1000)
    wide, narrow = (roofline.velocity(PUBLISHED, 10, width).bytes for width in (4, 2))
    assert (wide, narrow) == (4000, 2000)


def test_weights_that_a_step_streams():
    assert roofline.trunk(PUBLISHED) == 471_859_200
    assert roofline.streamed(PUBLISHED) == 482_760_194


@pytest.mark.parametrize(
    ("keys", "beams", "width", "flops", "moved"),
    [
        (100, 1, 4, 0.98e9, 1.96e9),
        (600, 1, 2, 1.04e9, 1.04e9),
        (600, 3, 4, 3.12e9, 2.37e9),
        (1600, 3, 2, 3.48e9, 1.56e9),
    ],
)
def test_a_step_of_decoding(keys, beams, width, flops, moved):
    cost = roofline.step(PUBLISHED, keys, beams, width)
    assert cost.flops == pytest.approx(flops, rel=6e-3)
    assert cost.bytes == pytest.approx(moved, rel=6e-3)


@pytest.mark.parametrize(("tokens", "rows", "flops"), [(20, 57, 54e9), (60, 97, 92e9)])
def test_the_prefix(tokens, rows, flops):
    assert roofline.prefix_length(PUBLISHED, tokens) == rows
    assert roofline.decode(PUBLISHED, tokens, 1, 3, 4)[0].flops == pytest.approx(flops, rel=0.01)


@pytest.mark.parametrize(
    ("tokens", "codes", "flops"), [(60, 250, 336e9), (60, 500, 586e9), (120, 1500, 1.73e12)]
)
def test_the_pass_over_finished_codes(tokens, codes, flops):
    assert roofline.latents(PUBLISHED, tokens, codes, 4).flops == pytest.approx(flops, rel=5e-3)


@pytest.mark.parametrize(
    ("positions", "encoder", "codec"),
    [(249, 105.5e9, 5.5e9), (499, 217.9e9, 11.0e9), (749, 336.9e9, 16.6e9)],
)
def test_the_encoders_of_the_prompt(positions, encoder, codec):
    assert roofline.semantic_encoder(PUBLISHED, positions).flops / 2 == pytest.approx(
        encoder, rel=5e-3
    )
    assert roofline.semantic_codec(PUBLISHED, positions).flops / 2 == pytest.approx(codec, rel=5e-3)


def test_the_style_encoder():
    cost = roofline.style_encoder(PUBLISHED, 998)
    assert cost is not None
    assert cost.flops / 2 == pytest.approx(5.62e9, rel=5e-3)
    assert roofline.style_encoder(bundled_config("tiny"), 998) is None


def test_conditioning():
    speaker = roofline.conditioning(PUBLISHED, 749, emotions=0).flops
    both = roofline.conditioning(PUBLISHED, 749, emotions=1).flops
    assert speaker == pytest.approx(127e9, rel=5e-3)
    assert both - speaker == pytest.approx(113e9, rel=0.02)


@pytest.mark.parametrize(("frames", "macs"), [(1290, 235.7e9), (1721, 334.2e9), (2151, 442.4e9)])
def test_an_evaluation_of_the_velocity(frames, macs):
    assert roofline.velocity(PUBLISHED, frames, 4).flops / 2 == pytest.approx(macs, rel=5e-4)


def test_regulator():
    once = roofline.regulator(PUBLISHED, 500, 0, 4).flops / 2
    assert once == (491_520 + 8_192 + 524_288) * 500
    assert roofline.regulator(PUBLISHED, 500, 860, 4).flops / 2 - once == 3_407_872 * 860


def test_vocoder():
    assert roofline.vocoder(PUBLISHED, 1, 4).flops / 2 == 916_604_928
    more = roofline.vocoder(PUBLISHED, 2, 4).bytes - roofline.vocoder(PUBLISHED, 1, 4).bytes
    assert 11e6 < more < 12e6


def test_the_whole_of_ten_seconds():
    """Prompt and output of 10 s: 9.15 T multiply-adds behind the codes."""
    flow = roofline.flow(PUBLISHED, 861, 500, 860, 25, 4)
    total = sum((*flow, roofline.vocoder(PUBLISHED, 860, 4)), Cost(0, 0))
    assert total.flops / 2 == pytest.approx(9.15e12, rel=2e-3)


def test_batch_reads_weights_once():
    one, many = (roofline.step(PUBLISHED, 100, 3, 4, rows) for rows in (1, 16))
    assert many.flops == 16 * one.flops
    assert many.bytes < 3 * one.bytes


def test_floor_is_longer_time():
    peak = Peak(flops=100.0, bandwidth=10.0)
    assert peak.floor(Cost(flops=200.0, bytes=10.0)) == 2
    assert peak.floor(Cost(flops=100.0, bytes=50.0)) == 5
