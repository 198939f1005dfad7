"""What `/metrics` reports, in the form of Prometheus."""

import threading
from collections.abc import Iterator
from typing import Any

import jax
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from indextts_jax.engine.live.engine import LiveEngine

_COMPILED = "/jax/core/compile/backend_compile_duration"
FIRST_SOUND = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)  # seconds
GAPS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)  # seconds


class Metrics:
    """The counters of a server, and views on those of its engine."""

    def __init__(self, engine: LiveEngine):
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "indextts_requests", "Requests by path and status.", ("path", "status"), **own
        )
        self.first_sound = Histogram(
            "indextts_first_audio_seconds",
            "From the arrival of a request to its first sound.",
            buckets=FIRST_SOUND,
            **own,
        )
        self.gaps = Histogram(
            "indextts_gap_seconds",
            "Silence before a sound that came too late for a listener.",
            buckets=GAPS,
            **own,
        )
        self.underruns = Counter(
            "indextts_underruns", "Times that a listener had to wait within a stream.", **own
        )
        self.aborted = Counter(
            "indextts_aborted", "Streams that failed after their first sound.", **own
        )
        self.registry.register(_EngineView(engine, Compilations()))

    def page(self) -> bytes:
        return generate_latest(self.registry)


class Compilations:
    """Programs that were compiled in this process since `start`."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, duration_secs: float, **more: str | int) -> None:
        if event == _COMPILED:
            with self._lock:
                self.count += 1


class _EngineView:
    """The engine's numbers, read when the page is requested."""

    def __init__(self, engine: LiveEngine, compilations: Compilations):
        self.engine, self.compilations = engine, compilations

    def collect(self) -> Iterator[Metric]:
        load, counts = self.engine.load(), self.engine.counts
        slots = self.engine.settings.batch
        gauges = {
            "indextts_queue_requests": ("Requests without a sound so far.", load.unheard),
            "indextts_queue_seconds": ("Estimated audio that is not spoken yet.", load.seconds),
            "indextts_slots_used": ("Segments that are being decoded.", load.slots),
            "indextts_slots": ("Segments that can be decoded at once.", slots),
            "indextts_rate": ("Seconds of audio made in a second of work.", load.rate or 0.0),
            "indextts_longest_tick_seconds": ("The longest decoding.", counts.longest_tick),
            "indextts_loaded": ("Whether the model is in memory.", int(self.engine.loaded)),
        }
        memory = self.engine.model.device.memory_stats() or {}
        if "bytes_in_use" in memory:
            gauges["indextts_device_bytes"] = ("Device memory in use.", memory["bytes_in_use"])
        for name, (help_text, value) in gauges.items():
            yield GaugeMetricFamily(name, help_text, float(value))
        totals = {
            "indextts_codes": ("Codes decoded.", counts.codes),
            "indextts_ticks": ("Rounds of decoding.", counts.ticks),
            "indextts_ticks_slots": ("Slots in use, added up over ticks.", counts.filled),
            "indextts_audio_seconds": ("Seconds of audio made.", counts.audio),
            "indextts_busy_seconds": ("Seconds of work.", counts.busy),
            "indextts_cancelled": ("Requests that were cancelled.", counts.cancelled),
            "indextts_compiles": ("Programs compiled since the start.", self.compilations.count),
        }
        for name, (help_text, value) in totals.items():
            yield CounterMetricFamily(name, help_text, float(value))
        faults = CounterMetricFamily("indextts_faults", "Faults by kind.", labels=["kind"])
        for kind, count in list(counts.faults.items()):
            faults.add_metric([kind], count)
        yield faults
