"""`python -m indextts_jax.synth`: speaks a text in a given voice and writes an audio file."""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags

from indextts_jax.audio.output import STDOUT, check_output, raw
from indextts_jax.audio.playback import Player
from indextts_jax.audio.quality import FIRST, beginning
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import (
    adapter_flags,
    emotion_flags,
    playing,
    prompt_flags,
    runner,
    settings_flags,
    stream_flags,
    text_flags,
    timing_flags,
)
from indextts_jax.cli.interruption import INTERRUPTED, abandonable
from indextts_jax.cli.speech_report import report, show_faults
from indextts_jax.cli.terminal import say, stage_bar, warn
from indextts_jax.config import RunConfig, bundled_config
from indextts_jax.engine import demo, segment_store
from indextts_jax.engine.recipe import to_comment, write_down
from indextts_jax.engine.request import Request
from indextts_jax.engine.seeds import RANDOM_SEEDS, chosen_seed
from indextts_jax.engine.segment_store import SegmentStore
from indextts_jax.engine.settings import Settings, settings_of
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, SPEAKING
from indextts_jax.planning import speed_log
from indextts_jax.planning.memory import fit, format_fit, parse_size
from indextts_jax.runtime import cache_folder, devices, executables
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices import store

COMMON = (
    "checkpoint",
    "demo",
    "text",
    "text_file",
    "glossary",
    "pause",
    "language",
    "speaker",
    "voice",
    "emotion",
    "emotion_text",
    "emotion_weights",
    "emotion_alpha",
    "output",
    "play",
    "timings",
    "resume",
    "stream",
    "speed",
    "duration",
    "seed",
    "device",
    "dtype",
)
GROUPS = {
    "What to say": ("text", "text_file", *text_flags.FLAGS),
    "Voice": ("speaker", "voice", prompt_flags.EXCERPT),
    "Emotion (by default the voice's own)": emotion_flags.FLAGS,
    "Delivery": (
        "output",
        "resume",
        *stream_flags.FLAGS,
        *settings_flags.DELIVERY,
        "sample_format",
        "wav_subtype",
        *playing.FLAGS,
        *timing_flags.FLAGS,
    ),
    "Sampling": ("seed", *settings_flags.SAMPLING),
    "Run": (*settings_flags.RUN, "max_memory"),
}
EXAMPLES = (
    "synth --demo --output demo.wav",
    'synth --checkpoint indextts2 --text "Good morning." --speaker voice.wav',
    'synth --checkpoint indextts2 --text "Oh!" --voice anna --emotion afraid.wav',
    "synth --checkpoint indextts2 --text_file a.txt --voice anna --output a.mp3",
    "synth --checkpoint indextts2 --text_file a.txt --voice anna --timings a.srt",
)
MANY_SEGMENTS = 20


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text = absl_flags.DEFINE_string
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    adapter_flags.define(own)
    text("text", None, "Text to speak.", **own)
    text("text_file", None, "Text file (UTF-8) to speak; - for standard input.", **own)
    text_flags.define_language(flags)
    text("voice", None, "Voice saved by python -m indextts_jax.voice, instead of --speaker.", **own)
    text("speaker", None, "Recording of the voice; 15 s of it are used. demo: a sample.", **own)
    prompt_flags.define(own)
    text(
        "output",
        "output.wav",
        "File to write: .wav, .flac, .ogg or .mp3; - for raw 16-bit samples on standard output.",
        **own,
    )
    absl_flags.DEFINE_bool(
        "resume", False, "Keep finished segments beside --output, and use those there.", **own
    )
    timing_flags.define(flags)
    playing.define(flags)
    emotion_flags.define(own)
    text("seed", "0", "Random seed; the same gives the same waveform. random (or -1): any.", **own)
    absl_flags.DEFINE_bool(
        "demo",
        False,
        "Use a small built-in model with random weights; it sounds like noise.",
        **own,
    )
    settings_flags.define(flags)
    stream_flags.define(flags)
    text("max_memory", None, "Limit on device memory, for example 8GB.", **own)
    absl_flags.DEFINE_enum(
        "sample_format",
        None,
        ["PCM_16", "PCM_24", "FLOAT"],
        "Samples of a WAV (all three) or FLAC file (the first two); by default 16 bits.",
        **own,
    )
    absl_flags.DEFINE_alias("wav_subtype", "sample_format", **own)


def main(flags: Any) -> int:
    """Speaks and writes the file; returns 3 if the speech has faults."""
    # With samples on standard output, messages go to standard error.
    stdout = sys.stdout
    quiet = contextlib.redirect_stdout(sys.stderr) if flags.output == STDOUT else None
    with quiet or contextlib.nullcontext():
        return _main(flags, stdout)


def _main(flags: Any, stdout: Any) -> int:
    text, settings, emotion, speaker = _checked(flags)
    if not flags.play:
        return _speak(flags, stdout, text, settings, emotion, speaker, None)
    with playing.opened(flags, _rate(flags)) as player:
        return _speak(flags, stdout, text, settings, emotion, speaker, player)


def _rate(flags: Any) -> int:
    """The sample rate of the speech, in Hz."""
    config = bundled_config("tiny") if flags.demo else open_checkpoint(flags.checkpoint).config
    return config.mel.sample_rate


def _writes(flags: Any) -> bool:
    """Whether a file is written: with --play only if it is named."""
    return not flags.play or not flags["output"].using_default_value


def _speak(
    flags: Any,
    stdout: Any,
    text: str,
    settings: Settings,
    emotion: Any,
    speaker: str | Path | None,
    player: Player | None,
) -> int:
    seed = chosen_seed(flags.seed)
    replaced = flags.output != STDOUT and Path(flags.output).exists()
    start, emotion_start = (
        0.0
        if prompt is None
        else prompt_flags.excerpt_start(prompt, flags.prompt_excerpt, flags.output)
        for prompt in (speaker, flags.emotion)
    )
    if flags.seed in RANDOM_SEEDS:
        say(f"Using seed {seed}")
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    if flags.demo:
        say(demo.DEMO_NOTE)
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Speaking") as on_stage, abandonable():
        clock = Clock(on_stage)
        reading = emotion_flags.read_words(flags, emotion, clock)
        if reading is not None:
            emotion = dataclasses.replace(emotion, text=None, weights=reading.weights)
        with clock.stage("loading"):
            tts, settings, run = _open(flags, text, settings, speaker or flags.emotion, on_stage)
            script = tts.script(text, settings, flags.language)
            text_flags.show_notices(script)
        if len(script.segments) >= MANY_SEGMENTS and player is None:
            say(
                f"{len(script.segments):,} segments of at most {tts.longest_segment(settings):.0f} "
                "s of audio each; the file is written when all are done"
            )
        if speaker is None:
            voice = store.load_voice(tts.model, store.voice_path(flags.voice))
        else:
            voice = tts.voice(speaker, clock, excerpt=start)
        if flags.emotion is not None:
            prompt = tts.emotion(flags.emotion, clock, excerpt=emotion_start, voice=voice)
            emotion = dataclasses.replace(emotion, prompt=prompt)
        request = Request(
            text=text,
            voice=voice,
            emotion=emotion,
            seed=seed,
            settings=settings,
            language=flags.language,
        )
        tts.release_encoders()  # frees memory before the other components are loaded
        with clock.stage("loading"):
            tts.fetch()
        segments = _store(flags, tts, request, device, run, len(script.segments))
        before = executables.seconds_spent()
        timed = bool(flags.timings)
        pipe = stdout.buffer if flags.output == STDOUT and flags.stream else None
        if player is not None:
            stage = playing.until_stopped(player, on_stage)
            stream = tts.stream(request, timings=timed, on_stage=stage)
            parts: Any = playing.play(
                player,
                stream_flags.piped(stream, pipe) if flags.stream else stream,
                [spoken.duration.usual + spoken.pause for spoken in script.segments],
                flags.prebuffer,
            )
            if parts is None:
                return _stopped(flags)
            join = functools.partial(stream_flags.joined, tts) if flags.stream else tts.joined
            speech = join(parts, text)
        elif flags.stream:
            speech = stream_flags.speak(tts, request, on_stage, pipe, timings=timed)
        else:
            speech = tts.speak(request, timings=timed, on_stage=on_stage, store=segments)
        compiling = executables.seconds_spent() - before
    if executables.active() is not None and not flags.demo:
        speed_log.note_speech(tts, settings, speech, compiling=compiling)
    if not _writes(flags):
        replaced = False
    elif flags.output == STDOUT:
        if not flags.stream:
            stdout.buffer.write(raw(speech.samples))
            stdout.buffer.flush()
    else:
        comment = ""
        # Where chunks meet depends on the speed of the machine: no recipe gives these samples.
        if not (flags.demo or flags.stream):
            made = write_down(tts.model, request, speech.samples, device, run.dtype)
            comment = to_comment(made)
        speech.save(flags.output, flags.sample_format, comment)
        if segments is not None:
            segments.remove()
        if replaced:
            say(f"replaced {flags.output}")
    if flags.timings:
        timing_flags.save(flags.timings, speech, flags.cue_words)
    show_faults(speech)
    if reading is not None:
        say(f"Emotion read from the text: {reading}")
    name = flags.output if _writes(flags) else "played"
    say(report(speech, clock.seconds | speech.seconds, name))
    faulty = any(segment.faults for segment in speech.segments)
    return runner.FAULTY if faulty and not flags.demo else 0


def _stopped(flags: Any) -> int:
    """The exit code after the listener stopped: of an interruption, if files were requested."""
    files = [*([flags.output] if _writes(flags) else []), *flags.timings]
    say("stopped" + (f": {', '.join(files)} is not written" if files else ""))
    return INTERRUPTED if files else 0


def _store(
    flags: Any, tts: IndexTTS, request: Request, device: Any, run: RunConfig, segments: int
) -> SegmentStore | None:
    """Where finished segments are kept, with --resume or for a long text."""
    long = segments >= MANY_SEGMENTS and not flags.demo
    settings = request.settings or tts.settings
    if flags.output == STDOUT or flags.stream or flags.play or not (flags.resume or long):
        return None
    if settings.timing.duration is not None:
        return None  # with --resume, it was rejected before
    folder = segment_store.folder_of(Path(flags.output).absolute())
    key = segment_store.key_of(
        write_down(tts.model, request, np.zeros(0, np.float32), device, run.dtype),
        timings=bool(flags.timings),
    )
    old = SegmentStore(folder, key)
    there = folder.is_dir() and not folder.is_symlink() and (folder / segment_store.MARK).is_file()
    if there and not old.belongs():
        warn(f"{folder} holds segments of another request (text, voice, settings): starting again")
    store = SegmentStore.open(folder, key)
    if not flags.resume:
        for path in store.parts():
            say(f"--resume would use segment {path + 1} of an earlier run")
            break
        store.remove()
        store = SegmentStore.open(folder, key)
    elif ready := store.parts():
        say(f"{len(ready)} of {segments} segments are there from an earlier run: resuming")
    say(f"finished segments are kept in {folder}: if this is stopped, --resume continues")
    return store


def _checked(flags: Any) -> tuple[str, Settings, Any, str | Path | None]:
    """Text, settings, emotion and speaker prompt, validated as far as possible without the model.

    Raises:
        InputError: if one is missing, or they cannot be combined.
    """
    if bool(flags.checkpoint) == flags.demo:
        raise InputError(
            "give --checkpoint DIR (made by python -m indextts_jax.import), or --demo to try "
            "a small built-in model"
        )
    if flags.demo and flags.adapter:
        raise InputError("--adapter needs --checkpoint: the built-in model has none")
    text = text_flags.text_to_speak(flags, demo.DEMO_TEXT if flags.demo else None)
    # validates before the checkpoint is opened
    settings = stream_flags.with_chunks(flags, settings_flags.settings(flags))
    emotion = emotion_flags.parse(flags, text)
    speaker = prompt_flags.speaker(flags, demo.demo_speaker() if flags.demo else None)
    chosen_seed(flags.seed)
    if flags.resume:
        _check_resume(flags, settings)
    if flags.max_memory is not None:
        parse_size(flags.max_memory)
    playing.check(flags)
    timing_flags.check(flags)
    if flags.output != STDOUT and _writes(flags):
        check_output(flags.output, flags.sample_format)
    beginning(flags.prompt_excerpt)
    if flags.prompt_excerpt != FIRST and speaker is None and flags.emotion is None:
        raise InputError(
            f"--prompt_excerpt needs a recording; voice {flags.voice!r} was saved with its excerpt "
            "already chosen"
        )
    if not flags.demo:
        usual = settings_of(open_checkpoint(flags.checkpoint).settings)
        settings = stream_flags.with_chunks(flags, settings_flags.settings(flags, usual))
    if flags.play:  # segment by segment, also where the checkpoint's own settings have a batch
        settings = dataclasses.replace(settings, batch=1)
    return text, settings, emotion, speaker


def _check_resume(flags: Any, settings: Settings) -> None:
    """Rejects --resume where segments cannot be kept."""
    if flags.output == STDOUT:
        raise InputError("--resume needs --output FILE: segments are kept beside it")
    if flags.demo:
        raise InputError("--resume needs --checkpoint: the demo is short")
    if flags.stream:
        raise InputError("--resume and --stream are mutually exclusive: chunks are not kept")
    if settings.timing.duration is not None:
        raise InputError("--resume and --duration are mutually exclusive: see --speed")
    if flags.seed in RANDOM_SEEDS:
        raise InputError("--resume needs a --seed that stays the same")


def _open(
    flags: Any, text: str, settings: Settings, prompt: Any, on_stage: Callable[[str], None]
) -> tuple[IndexTTS, Settings, RunConfig]:
    """The model, its components loaded on first use, and settings that fit --max_memory."""
    run = settings_flags.run_config(flags)
    if flags.demo:
        return IndexTTS(demo.demo_model(run)), settings, run
    applied = adapter_flags.read(flags)
    tts = IndexTTS.open(flags.checkpoint, run, adapters=applied)
    if flags.max_memory is not None:
        found = fit(
            flags.checkpoint,
            parse_size(flags.max_memory),
            settings,
            run,
            analyses=prompt is not None,
            seconds=max(
                one.duration.most for one in tts.script(text, settings, flags.language).segments
            ),
            on_stage=on_stage,
        )
        settings, run = found.settings, found.run
        tts = IndexTTS.open(flags.checkpoint, run, adapters=applied)
        say(f"--max_memory {flags.max_memory}: {format_fit(found, tts.model)}")
    tts.model.verify(SPEAKING if prompt is None else COMPONENTS)
    tts.check(text, settings, flags.language)
    return tts, settings, run


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="synth",
        summary="speaks a text in a given voice and writes an audio file.",
        common=COMMON,
        groups=GROUPS,
        examples=EXAMPLES,
    )
