"""The sounds of one request, in text order."""

from collections.abc import Iterator

from indextts_jax.engine.delivery import ScriptRequest, deliver
from indextts_jax.engine.parts import Progress
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.streaming.chunks import Sound
from indextts_jax.runtime.model import Model
from indextts_jax.utils.stopwatch import Clock


def stream_sounds(
    model: Model,
    request: ScriptRequest,
    settings: Settings,
    clock: Clock,
    progress: Progress | None = None,
) -> Iterator[Sound]:
    """Yields the sounds of a script; `settings.chunks` says how its segments are cut."""
    said = 0
    for _, index, part in deliver(model, [request], settings, clock, progress, in_order=True):
        yield Sound(part.samples, index, said, final=part.segment, seconds=part.seconds)
        said += len(part.samples)
