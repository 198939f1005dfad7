import math

import pytest

from indextts_jax.errors import InputError
from indextts_jax.sampling.settings import SamplingConfig


def test_defaults_are_those_of_the_reference():
    settings = SamplingConfig()

    assert (settings.beams, settings.sample, settings.max_codes) == (3, True, 1500)
    assert (settings.temperature, settings.top_k, settings.top_p) == (0.8, 30, 0.8)
    assert (settings.repetition_penalty, settings.length_penalty) == (10.0, 0.0)
    assert (settings.typical_sampling, settings.typical_mass) == (False, 0.9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beams", 0),
        ("temperature", 0.0),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("top_k", -1),
        ("top_p", 1.01),
        ("top_p", -0.1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", math.nan),
        ("length_penalty", math.nan),
        ("typical_mass", 0.0),
        ("typical_mass", 1.0),
        ("max_codes", 0),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=f"^{name} must be .*, got {value}$"):
        SamplingConfig(**{name: value})


def test_numbers_do_not_change_what_a_program_is_compiled_for():
    plain = SamplingConfig()
    other = SamplingConfig(temperature=1.3, top_k=7, top_p=0.5, repetition_penalty=2.0)

    assert plain.strategy == other.strategy
    assert hash(plain.strategy) == hash(other.strategy)
    assert plain.strategy != SamplingConfig(beams=2).strategy


def test_one_beam_keeps_one_code_and_several_keep_two():
    assert SamplingConfig(beams=1).strategy.keep == 1
    assert SamplingConfig(beams=4).strategy.keep == 2
