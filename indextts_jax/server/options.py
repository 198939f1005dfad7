"""What an operator decides about a server: addresses, limits, access."""

import dataclasses
import ipaddress
from pathlib import Path

from indextts_jax.errors import InputError

MODEL = "indextts-2"
ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # OpenAI's names, which clients send unasked


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The options of a server; seconds, bytes, and seconds of audio.

    Raises:
        InputError: for an address that others can reach, without keys and without `insecure`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: Path | None = None  # file of SHA-256 of keys
    insecure: bool = False  # listen on any address without keys
    cors_origins: tuple[str, ...] = ()  # exact origins of other sites whose pages may call
    model_names: tuple[str, ...] = (MODEL, *ALIASES)
    voice_names: tuple[tuple[str, str], ...] = ()  # names of requests, and the voices they mean
    lenient: bool = False  # ignore unknown fields, naming them in a header
    log_text: bool = False
    keep_recordings: Path | None = None  # directory for uploaded recordings
    uploads: bool = True

    body_bytes: int = 25 * 2**20
    body_seconds: float = 30.0
    text_characters: int = 20_000
    recording_bytes: int = 64 * 2**20  # of decoded samples
    voices: int = 1_000
    batch_items: int = 32
    message_bytes: int = 128 * 2**10  # of a WebSocket
    socket_idle: float = 60.0

    max_queue: int = 64  # requests without a sound
    max_queue_seconds: float = 600.0  # estimated audio that is waiting
    max_wait: float = 60.0  # for the first sound
    ahead: float = 60.0  # seconds of audio made before the client has taken them
    drain: float = 30.0  # for running streams, after SIGTERM

    def __post_init__(self) -> None:
        if self.api_keys is None and not self.insecure and not is_local(self.host):
            raise InputError(
                f"host {self.host} can be reached from other machines: give api_keys, or insecure "
                "if everyone who can reach it may use it",
                "host",
                "api_keys",
                "insecure",
            )
        if not 0 <= self.port < 2**16:
            raise InputError(f"port must be 0 to {2**16 - 1}, got {self.port}", "port")
        for origin in self.cors_origins:
            if "*" in origin or "://" not in origin or origin.rstrip("/") != origin:
                raise InputError(
                    f"cors_origin must be an exact origin such as https://example.org, "
                    f"got {origin!r:.80}",
                    "cors_origin",
                )


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
