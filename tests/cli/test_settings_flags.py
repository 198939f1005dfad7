import dataclasses

from absl import flags as absl_flags

from indextts_jax.cli import settings_flags
from indextts_jax.engine.settings import Settings

OWN = dataclasses.replace(
    Settings(),
    steps=10,
    segment_tokens=50,
    sampling=dataclasses.replace(Settings().sampling, beams=1, sample=False),
)


def given(*words: str) -> Settings:
    flags = absl_flags.FlagValues()
    settings_flags.define(flags)
    flags(["test", *words])
    return settings_flags.settings(flags, OWN)


def test_settings_of_the_checkpoint_are_the_default():
    assert given() == OWN


def test_flags_override_single_settings_of_the_checkpoint():
    expected = dataclasses.replace(OWN, steps=25)
    assert given("--steps=25") == expected
    assert given("--nogreedy").sampling == dataclasses.replace(OWN.sampling, sample=True)


def test_a_flag_by_its_second_name_overrides_too():
    assert given("--max_segment_tokens=20").segment_tokens == 20
