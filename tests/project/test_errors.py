"""Errors whose message is the whole report."""

from indextts_jax.errors import InputError


def test_a_message_can_always_be_shown() -> None:
    assert str(InputError("a name: \ud800, 你好")) == "a name: \\ud800, 你好"
