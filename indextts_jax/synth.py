"""`python -m indextts_jax.synth`: a text and a recording of a voice to an audio file."""

import contextlib
import dataclasses
import functools
import importlib.resources
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.audio.output import STDOUT, check_output, raw
from indextts_jax.audio.quality import FIRST, beginning, excerpt_of
from indextts_jax.cli import emotion_flags, runner, text_flags
from indextts_jax.cli.interruption import abandonable
from indextts_jax.cli.terminal import say, stage_bar, warn
from indextts_jax.config import COMPUTE_DTYPES, bundled_config
from indextts_jax.engine.demo import DEMO_NOTE, DEMO_TEXT, DEMO_WEIGHTS, random_model
from indextts_jax.engine.faults import described
from indextts_jax.engine.pace import Timing
from indextts_jax.engine.recipe import to_comment, write_down
from indextts_jax.engine.request import Request
from indextts_jax.engine.settings import MAX_CODES, Settings
from indextts_jax.engine.speech import Segment, Speech
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.models.components import COMPONENTS, SPEAKING
from indextts_jax.planning import speed_log
from indextts_jax.planning.memory import described as described_fit
from indextts_jax.planning.memory import fitted, parse_size
from indextts_jax.planning.speed_log import Setting
from indextts_jax.runtime import cache_folder, devices, executables
from indextts_jax.runtime.model import load_model
from indextts_jax.runtime.precision import with_compute_dtype, with_fused_attention
from indextts_jax.sampling.generate import SamplingConfig
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.utils.text_table import table
from indextts_jax.voices import store

COMMON = (
    "checkpoint",
    "demo",
    "text",
    "text_file",
    "glossary",
    "pause",
    "speaker",
    "voice",
    "prompt_excerpt",
    "emotion",
    "emotion_text",
    "emotion_from_text",
    "emotion_weights",
    "emotion_alpha",
    "output",
    "speed",
    "duration",
    "retries",
    "seed",
    "device",
    "dtype",
)
GROUPS = {
    "What to say": ("text", "text_file", *text_flags.FLAGS),
    "Voice": ("speaker", "voice", "prompt_excerpt"),
    "Emotion (by default the voice's own)": emotion_flags.FLAGS,
    "Delivery": ("output", "speed", "duration", "retries", "sample_format", "wav_subtype"),
    "Sampling": (
        "seed",
        "beams",
        "greedy",
        "temperature",
        "top_k",
        "top_p",
        "repetition_penalty",
        "length_penalty",
        "max_codes",
        "steps",
        "guidance",
    ),
    "Run": ("device", "dtype", "fused_attention", "batch", "max_memory"),
}
EXAMPLES = (
    "synth --demo --output demo.wav",
    'synth --checkpoint indextts2 --text "Good morning." --speaker voice.wav',
    'synth --checkpoint indextts2 --text "Oh!" --voice anna --emotion afraid.wav',
    "synth --checkpoint indextts2 --text_file a.txt --voice anna --output a.mp3",
)
MANY_SEGMENTS = 20
CODE_SECONDS = 0.02
EXCERPT = "Which 15 s of a longer recording are used: first, loudest, or the second to begin at."


def define(flags: absl_flags.FlagValues) -> None:
    """The flags of this command."""
    own: dict[str, Any] = {"flag_values": flags}
    reference = SamplingConfig()
    text, number, whole, switch, choice = (
        absl_flags.DEFINE_string,
        absl_flags.DEFINE_float,
        absl_flags.DEFINE_integer,
        absl_flags.DEFINE_bool,
        absl_flags.DEFINE_enum,
    )
    text("checkpoint", None, "Folder made by python -m indextts_jax.import.", **own)
    text("text", None, "What to say.", **own)
    text("text_file", None, "File (UTF-8) with what to say.", **own)
    text("voice", None, "Voice kept by python -m indextts_jax.voice, instead of --speaker.", **own)
    text("speaker", None, "Recording of the voice; 15 s of it are used.", **own)
    text("prompt_excerpt", FIRST, EXCERPT, **own)
    text(
        "output",
        "output.wav",
        "File to write: .wav, .flac, .ogg or .mp3; - for raw 16-bit samples on standard output.",
        **own,
    )
    emotion_flags.define(own)
    whole("seed", 0, "Drives everything random; the same seed gives the same waveform.", **own)
    choice("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    choice(
        "dtype",
        None,
        list(COMPUTE_DTYPES),
        "Numbers to compute with; by default the checkpoint says.",
        **own,
    )
    switch("fused_attention", False, "On NVIDIA GPUs: attention in kernels.", **own)
    switch("demo", False, "Speak with a small built-in model of random weights: noise.", **own)
    whole("steps", 25, "Steps of the flow.", lower_bound=1, **own)
    number("guidance", 0.7, "Guidance of the flow; 0 for none.", lower_bound=0.0, **own)
    whole("beams", reference.beams, "Beams of the search for codes.", lower_bound=1, **own)
    switch("greedy", False, "Take the likeliest codes: nothing is drawn.", **own)
    number("temperature", reference.temperature, "Temperature of the draws.", **own)
    whole("top_k", reference.top_k, "Draw from so many codes; 0 for all.", lower_bound=0, **own)
    number("top_p", reference.top_p, "Draw from this share of probability.", **own)
    number(
        "repetition_penalty", reference.repetition_penalty, "Penalty on codes used before.", **own
    )
    number("length_penalty", reference.length_penalty, "Exponent of length in beams.", **own)
    whole("max_codes", None, "Longest segment, in codes of 20 ms.", lower_bound=1, **own)
    whole("segment_tokens", None, "Longest segment, in text tokens.", lower_bound=1, **own)
    text_flags.define(flags)
    number("speed", 1.0, "Speed of speech, 0.5 to 2.", **own)
    number("duration", None, "Seconds that the whole is to last, pauses included.", **own)
    whole("retries", 0, "Further tries for a segment with faults, each with the next seed.", **own)
    text("max_memory", None, "Device memory to keep within, for instance 8GB.", **own)
    whole("batch", 1, "Segments of a long text that are spoken at once.", lower_bound=1, **own)
    choice(
        "sample_format",
        None,
        ["PCM_16", "PCM_24", "FLOAT"],
        "Samples of a WAV (all three) or FLAC file (the first two); by default 16 bits.",
        **own,
    )
    absl_flags.DEFINE_alias("wav_subtype", "sample_format", **own)


def _bundled(name: str) -> Path:
    return Path(str(importlib.resources.files("indextts_jax") / "data" / name))


def _text(flags: Any) -> str:
    if flags.text is not None and flags.text_file is not None:
        raise InputError("--text and --text_file exclude each other: give one")
    if flags.text_file is not None:
        text, name = text_flags.read_text(Path(flags.text_file)), f"{flags.text_file} is empty"
    elif flags.text is not None:
        text, name = flags.text, "the text is empty"
    elif flags.demo:
        text, name = DEMO_TEXT, ""
    else:
        raise InputError("nothing to say: give --text or --text_file")
    if not text.strip():
        raise InputError(f"{name}: there is nothing to speak")
    return text


def _announce(tts: IndexTTS, text: str, settings: Settings) -> None:
    """Says how much there is to do, of a long text."""
    count = len(tts.script(text, settings).segments)
    if count >= MANY_SEGMENTS:
        codes = min(settings.max_codes or MAX_CODES, tts.model.config.gpt.max_codes)
        say(
            f"{count:,} segments, each of {codes * CODE_SECONDS:.0f} s of audio at most; the file "
            "is written when all are spoken"
        )


def _speaker(flags: Any) -> str | Path | None:
    """The recording of the voice; none for a kept voice."""
    if flags.voice is not None:
        if flags.speaker is not None:
            raise InputError("--speaker and --voice exclude each other: give one")
        store.read_record(store.voice_path(flags.voice))  # before the model is loaded
        return None
    if flags.speaker is None and not flags.demo:
        raise InputError("give --speaker, a recording of the voice, or --voice, a kept one")
    return flags.speaker or _bundled("demo_speaker.wav")


def _check_prompt(prompt: str | Path | None, excerpt: str, output: str) -> float:
    """Makes sure that a recording can be used, and stays; the second from which on it is heard."""
    if prompt is None:
        return 0.0
    heard = excerpt_of(prompt, excerpt)
    if Path(output).exists() and Path(output).samefile(prompt):
        raise InputError(f"--output {output} is the recording itself: it is not replaced")
    for line in heard.warnings:
        warn(line)
    return heard.start


def _settings(flags: Any) -> Settings:
    return Settings(
        sampling=SamplingConfig(
            beams=flags.beams,
            sample=not flags.greedy,
            temperature=flags.temperature,
            top_k=flags.top_k,
            top_p=flags.top_p,
            repetition_penalty=flags.repetition_penalty,
            length_penalty=flags.length_penalty,
        ),
        max_codes=flags.max_codes,
        segment_tokens=flags.segment_tokens,
        steps=flags.steps,
        guidance=flags.guidance,
        timing=Timing(speed=flags.speed, duration=flags.duration),
        retries=flags.retries,
        batch=flags.batch,
        **text_flags.values(flags),
    )


def report(speech: Speech, seconds: dict[str, float], output: str) -> str:
    """The table at the end: seconds by stage, seconds of audio, real-time factor."""
    total = sum(seconds.values())
    rows = [(stage, f"{spent:.2f}") for stage, spent in seconds.items()]
    stages = table(("stage", "seconds"), [*rows, ("total", f"{total:.2f}")])
    codes = sum(segment.codes for segment in speech.segments)
    return (
        f"{stages}\n\n{output}: {speech.duration:.2f} s of audio, {len(speech.segments)} "
        f"segment{'s' * (len(speech.segments) > 1)}, {codes} codes\n"
        f"real-time factor {speech.real_time_factor:.2f} (speaking), "
        f"{total / speech.duration:.2f} (with loading and prompts; both with compilation)"
    )


def main(flags: Any) -> int:
    """Reads the flags, speaks, writes the file; the exit code tells of faults in the speech."""
    # Where samples go to standard output, what is told goes elsewhere.
    stdout = sys.stdout
    quiet = contextlib.redirect_stdout(sys.stderr) if flags.output == STDOUT else None
    with quiet or contextlib.nullcontext():
        return _main(flags, stdout)


def _main(flags: Any, stdout: Any) -> int:
    if bool(flags.checkpoint) == flags.demo:
        raise InputError(
            "give --checkpoint DIR (made by python -m indextts_jax.import), or --demo to try "
            "a small built-in model"
        )
    text, settings = _text(flags), _settings(flags)
    emotion = emotion_flags.parse(flags, text)
    speaker = _speaker(flags)
    if flags.output != STDOUT:
        check_output(flags.output, flags.sample_format)
    beginning(flags.prompt_excerpt)
    if flags.prompt_excerpt != FIRST and speaker is None and flags.emotion is None:
        raise InputError(
            f"--prompt_excerpt is for recordings: the voice {flags.voice} has heard its own"
        )
    start, emotion_start = (
        _check_prompt(prompt, flags.prompt_excerpt, flags.output)
        for prompt in (speaker, flags.emotion)
    )
    device = devices.choose(flags.device)
    print(f"Using device: {devices.describe(device)}")
    if flags.demo:
        print(DEMO_NOTE)
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Speaking") as watch, abandonable():
        clock = Clock(watch)
        reading = emotion_flags.read_words(flags, emotion, clock)
        if reading is not None:
            emotion = dataclasses.replace(emotion, text=None, weights=reading.weights)
        with clock.stage("loading"):
            tts, settings, dtype = _load(flags, text, settings, speaker or flags.emotion, watch)
            tts.check(text, settings)
            text_flags.tell(tts.script(text, settings))
        _announce(tts, text, settings)
        if speaker is None:
            voice = store.load_voice(tts.model, store.voice_path(flags.voice))
        else:
            voice = tts.voice(speaker, clock, excerpt=start)
        if flags.emotion is not None:
            prompt = tts.emotion(flags.emotion, clock, excerpt=emotion_start, voice=voice)
            emotion = dataclasses.replace(emotion, prompt=prompt)
        request = Request(
            text=text, voice=voice, emotion=emotion, seed=flags.seed, settings=settings
        )
        tts.release_encoders()  # before the others are there
        with clock.stage("loading"):
            tts.model.fetch(SPEAKING)
        preparing = _preparing()
        speech = tts.speak(request, watch=watch)
        preparing = _preparing() - preparing
    if executables.active() is not None and not flags.demo:
        spent = sum(speech.seconds.values()) - preparing
        setting = Setting.of(tts.model, settings, device, segments=len(speech.segments))
        speed_log.note(setting, audio=speech.duration, compute=spent)
    if flags.output == STDOUT:
        stdout.buffer.write(raw(speech.samples))
        stdout.buffer.flush()
    else:
        comment = ""
        if not flags.demo:
            comment = to_comment(write_down(tts.model, request, speech.samples, device, dtype))
        speech.save(flags.output, flags.sample_format, comment)
    for number, segment in enumerate(speech.segments, 1):
        _tell_faults(number, segment)
    if reading is not None:
        print(f"Emotion of the words: {reading}")
    print(report(speech, clock.seconds | speech.seconds, flags.output))
    faulty = any(segment.faults for segment in speech.segments)
    return runner.FAULTY if faulty and not flags.demo else 0


def _tell_faults(number: int, segment: Segment) -> None:
    """Warns of a segment that is not as it should be."""
    tries = f" after {segment.tries} tries" if segment.tries > 1 else ""
    if segment.faults:
        advice = "try another --seed, or --retries"
        if segment.truncated:
            advice = "lower --segment_tokens or raise --max_codes"
        elif any(fault.kind == "not_finite" for fault in segment.faults):
            advice = "try --dtype float32, or another --seed"
        warn(f"segment {number}{tries}: {described(segment.faults)}; {advice}")
    elif tries:
        say(f"segment {number} is without faults{tries}")


def _load(
    flags: Any, text: str, settings: Settings, prompt: Any, watch: Callable[[str], None]
) -> tuple[IndexTTS, Settings, str | None]:
    """The model, whose components come as they are used; settings and dtype that fit the memory."""
    dtype = flags.dtype
    if flags.demo:
        tokenizer = _bundled("demo_tokenizer.model").read_bytes()
        config = with_compute_dtype(bundled_config("tiny"), dtype)
        if flags.fused_attention:
            config = with_fused_attention(config, devices.choose(flags.device))
        return IndexTTS(random_model(config, tokenizer, seed=DEMO_WEIGHTS)), settings, dtype
    load = functools.partial(load_model, lazy=True, fused_attention=flags.fused_attention)
    tts = IndexTTS(load(flags.checkpoint, dtype=dtype))
    if flags.max_memory is not None:
        longest = max(segment.duration.most for segment in tts.script(text, settings).segments)
        fit = fitted(
            flags.checkpoint,
            parse_size(flags.max_memory),
            settings,
            dtype=dtype,
            fused_attention=flags.fused_attention,
            analyses=prompt is not None,
            least_codes=round(longest / CODE_SECONDS),
            watch=watch,
        )
        settings, dtype = fit.settings, fit.dtype
        tts = IndexTTS(load(flags.checkpoint, dtype=dtype))
        say(f"--max_memory {flags.max_memory}: {described_fit(fit, tts.model)}")
    tts.model.verify(SPEAKING if prompt is None else COMPONENTS)
    return tts, settings, dtype


def _preparing() -> float:
    """Seconds so far until compiled programs were ready."""
    kept = executables.active()
    return kept.spent if kept is not None else 0.0


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="synth",
        summary="a text and a voice to an audio file.",
        common=COMMON,
        groups=GROUPS,
        examples=EXAMPLES,
    )
