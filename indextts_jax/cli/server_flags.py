"""Flags of a server, and the options that they stand for."""

from pathlib import Path
from typing import Any

from absl import flags as absl_flags

BATCH = 8  # segments that are decoded at once
ACCESS = ("host", "port", "api_keys", "insecure", "cors_origin")
REQUESTS = ("model_name", "voice_names", "lenient", "uploads", "keep_recordings", "log_text")
LIMITS = (
    "max_queue",
    "max_queue_seconds",
    "max_wait",
    "max_text",
    "max_body",
    "max_voices",
    "ahead",
    "drain",
    "unload_after",
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, whole, number, switch = (
        absl_flags.DEFINE_string,
        absl_flags.DEFINE_integer,
        absl_flags.DEFINE_float,
        absl_flags.DEFINE_bool,
    )
    text("host", "127.0.0.1", "Address to listen on; others than this machine's need keys.", **own)
    whole("port", 8000, "Port to listen on; 0: any.", **own)
    text("api_keys", None, "File with the SHA-256 of a key, and a name, on each line.", **own)
    switch("insecure", False, "Listen on any address without keys.", **own)
    absl_flags.DEFINE_multi_string(
        "cors_origin", [], "Origin of another site whose pages may call; repeat for several.", **own
    )
    absl_flags.DEFINE_multi_string(
        "model_name", [], "Name that requests may give the model, in place of the usual.", **own
    )
    text("voice_names", None, "YAML file: names in requests, and the voices they mean.", **own)
    switch("lenient", False, "Ignore unknown fields of requests, naming them in a header.", **own)
    switch("uploads", True, "Whether requests may add and delete voices.", **own)
    text("keep_recordings", None, "Directory to keep uploaded recordings in.", **own)
    switch("log_text", False, "Write texts into the log.", **own)
    whole("max_queue", 64, "Requests that wait for their first sound, at most.", **own)
    number("max_queue_seconds", 600.0, "Seconds of audio that wait, at most.", **own)
    number("max_wait", 60.0, "Seconds until a first sound, at most.", **own)
    whole("max_text", 20_000, "Characters of a text, at most.", lower_bound=1, **own)
    whole("max_body", 25 * 2**20, "Bytes of a request, at most.", lower_bound=1, **own)
    whole("max_voices", 1000, "Saved voices, at most.", lower_bound=0, **own)
    number("ahead", 60.0, "Seconds of audio made ahead of a client that reads slowly.", **own)
    number("drain", 30.0, "Seconds for running streams after SIGTERM.", lower_bound=0.0, **own)
    number("unload_after", None, "Seconds without requests after which memory is freed.", **own)


def given(flags: Any) -> dict[str, Any]:
    """The options, by the names of `ServerOptions`, without those at their defaults elsewhere."""
    found = {
        "host": flags.host,
        "port": flags.port,
        "api_keys": None if flags.api_keys is None else Path(flags.api_keys),
        "insecure": flags.insecure,
        "cors_origins": tuple(flags.cors_origin),
        "lenient": flags.lenient,
        "uploads": flags.uploads,
        "keep_recordings": None if flags.keep_recordings is None else Path(flags.keep_recordings),
        "log_text": flags.log_text,
        "max_queue": flags.max_queue,
        "max_queue_seconds": flags.max_queue_seconds,
        "max_wait": flags.max_wait,
        "text_characters": flags.max_text,
        "body_bytes": flags.max_body,
        "voices": flags.max_voices,
        "ahead": flags.ahead,
        "drain": flags.drain,
    }
    if flags.model_name:
        found["model_names"] = tuple(flags.model_name)
    return found
