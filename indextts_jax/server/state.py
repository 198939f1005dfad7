"""All that a running server holds: made once, handed to every route."""

import dataclasses
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.server.access import Keys
from indextts_jax.server.metrics import Metrics
from indextts_jax.server.options import ServerOptions
from indextts_jax.server.problems import ApiError, unavailable
from indextts_jax.server.request_log import RequestLog
from indextts_jax.server.voice_library import VoiceLibrary
from indextts_jax.voices.analysis import Voice


@dataclasses.dataclass
class ServerState:
    """The parts of a server, and whether it takes requests."""

    options: ServerOptions
    tts: IndexTTS
    settings: Settings  # of every request, apart from what its fields may change
    engine: LiveEngine
    voices: VoiceLibrary
    metrics: Metrics
    log: RequestLog
    keys: Keys | None = None
    ready: bool = False
    progress: str = "starting"
    draining: bool = False
    reserved: list[float] = dataclasses.field(default_factory=list)  # admitted, not submitted yet

    @classmethod
    def of(
        cls,
        options: ServerOptions,
        tts: IndexTTS,
        settings: Settings,
        engine: LiveEngine,
        built_in: Mapping[str, Voice],
        keys: Keys | None = None,
        log: RequestLog | None = None,
    ) -> "ServerState":
        """The state of a server around an engine."""
        return cls(
            options=options,
            tts=tts,
            settings=settings,
            engine=engine,
            voices=VoiceLibrary(tts, engine, options, built_in),
            metrics=Metrics(engine),
            log=log or RequestLog(),
            keys=keys,
        )

    def check_ready(self) -> None:
        """Raises an ApiError while the server starts or ends."""
        if not self.engine.alive and self.ready:
            raise unavailable("the engine has failed: this server is ending")
        if self.draining:
            raise unavailable("this server is ending")
        if not self.ready:
            raise unavailable(f"the model is not ready: {self.progress}")

    def check_model(self, name: str) -> None:
        """Raises an ApiError for a model that is not here."""
        if name not in self.options.model_names:
            known = ", ".join(self.options.model_names)
            raise ApiError(
                404,
                f"model {name!r:.80} does not exist; models: {known}",
                "model",
                "model_not_found",
            )

    def note_request(
        self, scope: MutableMapping[str, Any], status: int, notes: dict[str, Any]
    ) -> None:
        """Counts a request that has ended, and writes its line."""
        route = scope.get("route")
        path = getattr(route, "path", None) or "other"
        self.metrics.requests.labels(path, str(status or 499)).inc()
        if notes.get("aborted"):
            self.metrics.aborted.inc()
        if scope["path"] in ("/health", "/ready", "/metrics") and status == 200:
            return
        spent = time.monotonic() - scope["state"]["began"]
        self.log.write(
            method=scope.get("method", "WS"), status=status or 499, seconds=round(spent, 4), **notes
        )
