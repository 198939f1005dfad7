import dataclasses

import pytest

from indextts_jax.engine.settings import Settings, settings_of
from indextts_jax.errors import InputError


def test_default_settings_match_the_reference():
    assert settings_of(None) == Settings()


def test_a_file_changes_what_it_names_and_nothing_else():
    found = settings_of(b"steps: 10\nsampling: {beams: 1}\n")
    usual = Settings()
    sampling = dataclasses.replace(usual.sampling, beams=1)
    assert found == dataclasses.replace(usual, steps=10, sampling=sampling)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"step: 10", "unknown key step"),
        (b"sampling: {beams: 0}", "beams must be at least 1"),
        (b"steps: many", "steps: expected int"),
        (b"[1]", "expected settings by name"),
        (b"glossary: {a: b}", "without a glossary"),
        (b"a: [", "is not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        settings_of(text)
