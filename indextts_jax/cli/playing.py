"""`--play`: what is spoken is played as it is made, and keys pause and stop it."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from absl import flags as absl_flags

from indextts_jax.audio.playback import Player, SampleQueue
from indextts_jax.cli.keys import pressed_keys
from indextts_jax.cli.terminal import say
from indextts_jax.engine.parts import Part
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.errors import InputError
from indextts_jax.utils.stopwatch import StageCallback

FLAGS = ("play", "audio_device", "volume", "prebuffer")
PAUSE, STOP = " ", "q"  # keys
T = TypeVar("T", Part, Sound)


def define(flags: absl_flags.FlagValues) -> None:
    """Defines the flags."""
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_bool(
        "play", False, "Play while speaking; a file is only written with --output.", **own
    )
    absl_flags.DEFINE_string(
        "audio_device", None, "Part of the name of the device to play on; null: nowhere.", **own
    )
    absl_flags.DEFINE_float("volume", 1.0, "Volume of --play.", lower_bound=0.0, **own)
    absl_flags.DEFINE_float(
        "prebuffer",
        None,
        "Seconds of sound that are ready before --play begins; by default as many as are needed.",
        lower_bound=0.0,
        **own,
    )


def check(flags: Any) -> None:
    """Checks the flags.

    Raises:
        InputError: if they cannot be combined.
    """
    if not flags.play:
        given = [name for name in FLAGS[1:] if flags[name].present]
        if given:
            raise InputError(f"--{given[0]} needs --play")
        return
    if flags.resume:
        raise InputError("--play and --resume are mutually exclusive")
    if flags.batch > 1:
        raise InputError("--play speaks segment by segment: leave --batch out")


def opened(flags: Any, rate: int) -> Player:
    """The device of the flags.

    Raises:
        InputError: if there is none.
    """
    return Player(rate, device=flags.audio_device, volume=flags.volume)


class Stopped(Exception):
    """Raised in a callback: the listener wants no more."""


def until_stopped(player: Player, on_stage: StageCallback) -> StageCallback:
    """`on_stage`, which raises `Stopped` once playing was stopped."""

    def call(stage: str) -> None:
        if player.queue.ended.is_set():
            raise Stopped
        on_stage(stage)

    return call


def play(
    player: Player,
    parts: Generator[T, None, None],
    estimates: Sequence[float],
    prebuffer: float | None,
) -> list[T] | None:
    """Plays parts, or the sounds of chunks, as they come; None if the listener stopped.

    `estimates` are the seconds that each segment is expected to last. Playing begins when
    `prebuffer` seconds are ready; by default at once, or, where speaking takes longer than the
    speech, when what remains is expected to be ready in time.
    """
    queue, made, begun = player.queue, list[T](), time.monotonic()
    first: float | None = None
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(pressed_keys(lambda key: _act(queue, key)))
        if listening:
            say("Space pauses, q stops")
        slow = False
        for part in _taken(parts):
            if queue.ended.is_set():
                parts.close()
                return None
            made.append(part)
            player.write(part.samples)
            spent = time.monotonic() - begun
            ready = sum(len(one.samples) for one in made) / player.rate
            if first is None and prebuffer is None and isinstance(part, Sound):
                first = spent + part.prebuffer
                stack.enter_context(_after(part.prebuffer, queue.release))
            elif first is None and _may_begin(ready, spent, len(made), estimates, prebuffer):
                first = spent
                queue.release()
            elif first is None and prebuffer is None and not slow:
                slow = True
                say(
                    f"slower than real time (factor {spent / ready:.1f}): playing begins when the "
                    "rest can follow without a gap; --prebuffer 0 begins at once"
                )
        if first is None:
            first = time.monotonic() - begun
        if queue.ended.is_set():
            return None
        player.finish()
        whole = sum(len(one.samples) for one in made)
        if queue.played < whole:
            return None
    gaps = f"{queue.underruns} gap{'s' * (queue.underruns != 1)}"
    if queue.underruns:
        gaps += f" of {queue.starved / player.rate:.1f} s in all"
    say(f"played {whole / player.rate:.2f} s, first sound after {first:.2f} s, {gaps}")
    return made


@contextlib.contextmanager
def _after(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Calls a function after a time, at once if that is 0; not any more after the block."""
    if not seconds:
        call()
        yield
        return
    say(
        f"slower than real time: playing begins in {seconds:.1f} s, so that the rest can follow "
        "without a gap; --prebuffer 0 begins at once"
    )
    timer = threading.Timer(seconds, call)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _taken(parts: Generator[T, None, None]) -> Iterator[T]:
    """The parts until the listener stops."""
    with contextlib.suppress(Stopped):
        yield from parts


def _act(queue: SampleQueue, key: str) -> None:
    if key == PAUSE:
        queue.paused = not queue.paused
    elif key.lower() == STOP:
        queue.stop()


def _may_begin(
    ready: float, spent: float, done: int, estimates: Sequence[float], prebuffer: float | None
) -> bool:
    """Whether playing may begin, with this many seconds of `done` segments ready."""
    if prebuffer is not None:
        return ready >= prebuffer
    factor = spent / max(ready, 1e-9)
    if factor <= 1:
        return True
    # Each further segment must be ready before what is in front of it has been played.
    scale = ready / max(sum(estimates[:done]), 1e-9)
    computed, played = 0.0, ready
    for estimate in estimates[done:]:
        computed += factor * scale * estimate
        if computed > played:
            return False
        played += scale * estimate
    return True
