"""`python -m indextts_jax.serve`: answers OpenAI's audio API over HTTP."""

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import adapter_flags, runner, server_flags, settings_flags, stream_flags
from indextts_jax.cli.terminal import say
from indextts_jax.emotion.reader import EmotionReader
from indextts_jax.engine import demo
from indextts_jax.engine.alignment.words import heads_of
from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.settings import Settings, settings_of
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.models.components import SPEAKING
from indextts_jax.planning.warmup import warm_up_live, warm_up_prompts
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.utils import strict_yaml
from indextts_jax.voices import store
from indextts_jax.voices.analysis import Voice

PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "websockets")
COMMON = (
    "checkpoint",
    "demo",
    "host",
    "port",
    "api_keys",
    "batch",
    "rows",
    "warm_up",
    "reads_emotion",
    "unload_after",
    "device",
    "dtype",
)
GROUPS = {
    "Model": ("checkpoint", "demo", "adapter", "reads_emotion", "warm_up", "rows"),
    "Streams": stream_flags.FLAGS,
    "Access": server_flags.ACCESS,
    "Requests": server_flags.REQUESTS,
    "Limits": server_flags.LIMITS,
    "Sampling (requests may change temperature, top_k, top_p and repetition_penalty)": (
        settings_flags.SAMPLING
    ),
    "Run": settings_flags.RUN,
}
EXAMPLES = (
    "serve --demo",
    "serve --checkpoint indextts2 --port 8000",
    "serve --checkpoint indextts2 --host 0.0.0.0 --api_keys keys.txt --batch 16",
)
WARM_UPS = ("voices", "all", "none")
DEMO_VOICE = "demo"
READY_TEXT = "Ready."  # spoken once before requests are taken


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_string(
        "checkpoint", None, "Directory made by python -m indextts_jax.import.", **own
    )
    absl_flags.DEFINE_bool(
        "demo", False, "Serve a small built-in model with random weights.", **own
    )
    adapter_flags.define(own)
    absl_flags.DEFINE_bool("reads_emotion", False, "Load the reader of emotion from words.", **own)
    absl_flags.DEFINE_enum(
        "warm_up",
        "voices",
        list(WARM_UPS),
        "Programs to compile before requests are taken: for the saved voices, for all recordings "
        "that may be uploaded too, or none.",
        **own,
    )
    absl_flags.DEFINE_integer(
        "rows",
        None,
        "Segments whose sound is made together; by default 1 on a CPU, else 4.",
        lower_bound=1,
        **own,
    )
    server_flags.define(flags)
    settings_flags.define(flags)
    stream_flags.define(flags)
    flags.set_default("stream", True)
    flags.set_default("batch", server_flags.BATCH)


def main(flags: Any) -> int:
    """Serves until a signal.

    Raises:
        InputError: for options that do not fit, a bad checkpoint, or a port in use.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"serve needs {', '.join(missing)}: pip install 'indextts-jax[serve]'")
    from indextts_jax.server.access import Keys
    from indextts_jax.server.options import ServerOptions
    from indextts_jax.server.run import listen, serve
    from indextts_jax.server.state import ServerState

    if bool(flags.checkpoint) == flags.demo:
        raise InputError("give --checkpoint DIR (made by python -m indextts_jax.import), or --demo")
    options = ServerOptions(
        **server_flags.given(flags), voice_names=_voice_names(flags.voice_names)
    )
    if options.keep_recordings is not None and not options.keep_recordings.is_dir():
        raise InputError(f"--keep_recordings {options.keep_recordings} is not a directory")
    keys = None if options.api_keys is None else Keys(options.api_keys)
    settings = _settings(flags)
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    listening = listen(options.host, options.port)
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), listening:
        tts, built_in = _open(flags)
        heads_of(tts.model)  # refused here if they are not those of this model
        rows = flags.rows or (1 if device.platform == "cpu" else min(4, settings.batch))
        engine = LiveEngine(tts.model, settings, rows=rows, unload_after=flags.unload_after)
        state = ServerState.of(options, tts, settings, engine, built_in, keys)
        host, port = options.host, listening.getsockname()[1]
        say(f"Listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        return serve(state, listening, _warm_up(flags.warm_up, tts, built_in, settings, rows))


def _settings(flags: Any) -> Settings:
    """The settings of every request.

    Raises:
        InputError: for those that only a request may have.
    """
    settings = settings_flags.settings(flags)
    if not flags.demo:
        usual = dataclasses.replace(
            settings_of(open_checkpoint(flags.checkpoint).settings), batch=server_flags.BATCH
        )
        settings = settings_flags.settings(flags, usual)
    timing = settings.timing
    if timing.duration is not None or timing.pace != 1:
        raise InputError("--speed, --duration and --duration_factor are the requests' own")
    return stream_flags.with_chunks(flags, settings)


def _voice_names(path: str | None) -> tuple[tuple[str, str], ...]:
    if path is None:
        return ()
    try:
        names = strict_yaml.parse(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--voice_names {path} cannot be read: {error!s:.200}") from error
    if not isinstance(names, dict) or not all(
        isinstance(word, str) for pair in names.items() for word in pair
    ):
        raise InputError(f"--voice_names {path}: expected names and voices, such as `alloy: anna`")
    return tuple(names.items())


def _open(flags: Any) -> tuple[IndexTTS, dict[str, Voice]]:
    """The model, and voices that come with it."""
    run = settings_flags.run_config(flags)
    if flags.demo:
        say(demo.DEMO_NOTE)
        tts = IndexTTS(demo.demo_model(run))
        return tts, {DEMO_VOICE: tts.voice(demo.demo_speaker())}
    tts = IndexTTS.open(flags.checkpoint, run, adapters=adapter_flags.read(flags))
    if flags.reads_emotion:
        reader = EmotionReader.load(flags.checkpoint, flags.dtype)
        tts = dataclasses.replace(tts, reader=reader)
    return tts, {}


def _warm_up(
    which: str, tts: IndexTTS, built_in: dict[str, Voice], settings: Settings, rows: int
) -> Callable[[Callable[[str], None]], None]:
    """What is done before requests are taken; runs on the engine's thread."""

    def voices() -> list[Voice]:
        found = list(built_in.values())
        for name in store.names():
            try:
                path = store.directory() / f"{name}{store.ENDING}"
                found.append(store.load_voice(tts.model, path))
            except InputError:  # of another checkpoint, or damaged: requests are refused
                continue
        return found

    def warm(progress: Callable[[str], None]) -> None:
        progress("loading")
        tts.model.fetch(SPEAKING)
        if which == "none":
            return
        known = voices()
        warm_up_live(tts, known, settings, rows=rows, on_stage=progress)
        if which == "all":
            warm_up_prompts(tts, on_stage=progress)
        if known:
            # Once in earnest: what JAX compiles between the stages is not in a dry run.
            progress("a first sentence")
            _speak(tts, known[0], settings, rows)

    return warm


def _speak(tts: IndexTTS, voice: Voice, settings: Settings, rows: int) -> None:
    """Speaks a sentence with an engine of its own, in this thread."""
    from indextts_jax.engine.live.jobs import LiveRequest
    from indextts_jax.engine.request import Request
    from indextts_jax.utils.stopwatch import Clock

    engine = LiveEngine(tts.model, settings, rows=rows)
    script = tts.prepared(Request(text=READY_TEXT, voice=voice, settings=settings))(Clock())
    engine.submit(LiveRequest(script=script, settings=settings, sink=lambda event: None))
    while engine.tick():
        pass


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="serve",
        summary="answers OpenAI's audio API over HTTP.",
        common=COMMON,
        groups=GROUPS,
        examples=EXAMPLES,
    )
