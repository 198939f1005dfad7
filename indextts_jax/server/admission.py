"""Whether a request is taken now: by the audio that is waiting, by count, by the time to wait."""

from indextts_jax.engine.live.engine import Load
from indextts_jax.server.options import ServerOptions
from indextts_jax.server.problems import busy

UNMEASURED = 5.0  # seconds to wait, before the speed was measured


def admit(load: Load, reserved: list[float], slots: int, options: ServerOptions) -> None:
    """Checks that a request may enter the queue; `reserved` are seconds of those about to enter.

    Raises:
        ApiError: 429 with the time after which it may, from the measured speed.
    """
    waiting = load.seconds + sum(reserved)
    if load.unheard + len(reserved) >= options.max_queue:
        first = load.first / max(1, load.unheard)
        raise busy(
            f"{load.unheard + len(reserved)} requests are waiting, the most allowed",
            _time(first, load.rate),
        )
    if waiting >= options.max_queue_seconds:
        raise busy(
            f"{waiting:.0f} s of audio are waiting, the most allowed is "
            f"{options.max_queue_seconds:.0f} s",
            _time(waiting - options.max_queue_seconds, load.rate),
        )
    wait = first_sound(load, slots)
    if wait > options.max_wait:
        raise busy(
            f"the first sound would come after about {wait:.0f} s, the most allowed is "
            f"{options.max_wait:.0f} s",
            wait - options.max_wait,
        )


def first_sound(load: Load, slots: int) -> float:
    """Estimated seconds until a new request gets a slot; 0 while one is free."""
    if load.slots < slots or load.rate is None:
        return 0.0
    return load.first / load.rate


def _time(audio: float, rate: float | None) -> float:
    """Estimated seconds of work for seconds of audio."""
    return UNMEASURED if rate is None else max(1.0, audio / rate)
