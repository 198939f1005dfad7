"""`python -m indextts_jax.replay`: reproduces an output from the recipe stored in it.

python -m indextts_jax.replay out.flac --checkpoint indextts2 --speaker voice.wav
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.audio.output import check_output, read_comment
from indextts_jax.checkpoint.adapter import read_adapter
from indextts_jax.cli import runner
from indextts_jax.cli.interruption import abandonable
from indextts_jax.cli.terminal import say, stage_bar
from indextts_jax.config import RunConfig
from indextts_jax.engine import recipe
from indextts_jax.engine.recipe import Recipe
from indextts_jax.engine.recipe_text import format_recipe
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import Failure, InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.runtime.adapters import AppliedAdapter
from indextts_jax.utils.hashing import FileHash, hash_file
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.voices import store
from indextts_jax.voices.analysis import EmotionPrompt

COMMON = (
    "audio",
    "checkpoint",
    "adapter",
    "speaker",
    "voice",
    "emotion",
    "output",
    "device",
    "show",
)
POSITIONAL = ("audio",)
EXAMPLES = (
    "replay out.flac --show",
    "replay out.flac --checkpoint indextts2 --speaker voice.wav",
    "replay out.flac --checkpoint indextts2 --voice anna --output again.flac",
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text = absl_flags.DEFINE_string
    text("audio", None, "Output of python -m indextts_jax.synth (WAV, FLAC, OGG or MP3).", **own)
    text("checkpoint", None, "Checkpoint that it was made with.", **own)
    absl_flags.DEFINE_multi_string(
        "adapter",
        [],
        "Adapter that it was made with; repeat the flag for several, in order.",
        **own,
    )
    text("speaker", None, "Recording of the voice; by default the one beside the output.", **own)
    text("voice", None, "Saved voice of that recording, instead of --speaker.", **own)
    text("emotion", None, "Recording of the emotion; by default the one beside the output.", **own)
    text("output", None, "File to write; by default the new samples are only compared.", **own)
    absl_flags.DEFINE_enum("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    absl_flags.DEFINE_bool("show", False, "Only print the recipe.", **own)


def _recording(given: str | None, wanted: FileHash, beside: Path, flag: str) -> Path:
    """The recording with the wanted hash.

    Raises:
        InputError: if it is not found, or its hash differs.
    """
    places = [Path(given)] if given else [beside.parent / wanted.name, Path(wanted.name)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"{given}: No such file"
            if given
            else f"{wanted.name} was not found beside {beside}: give --{flag}, the recording with "
            f"SHA-256 {wanted.sha256[:12]}..."
        )
    if (sha256 := hash_file(found).sha256) != wanted.sha256:
        raise InputError(
            f"{found} is not the recording that {beside} was made with ({wanted.name}): expected "
            f"SHA-256 {wanted.sha256[:12]}..., got {sha256[:12]}..."
        )
    return found


def _adapters(paths: Sequence[str], made: Recipe, audio: Path) -> tuple[AppliedAdapter, ...]:
    """The adapters of a recipe, with their recorded strengths.

    Raises:
        InputError: if the adapters given are others, too few or too many.
    """
    if len(paths) != len(made.adapters):
        names = ", ".join(f"{one.name} ({one.digest[:12]})" for one in made.adapters)
        raise InputError(
            f"{audio} was made with {len(made.adapters)} adapters{f': {names}' if names else ''}; "
            f"got {len(paths)} from --adapter"
        )
    found = []
    for path, wanted in zip(paths, made.adapters, strict=True):
        adapter = read_adapter(path)
        if adapter.record.digest != wanted.digest:
            raise InputError(
                f"{path} is not the adapter that {audio} was made with ({wanted.name}): expected "
                f"SHA-256 {wanted.digest[:12]}..., got {adapter.record.digest[:12]}..."
            )
        found.append(AppliedAdapter(adapter, wanted.strength))
    return tuple(found)


def main(flags: Any) -> None:
    """Speaks again from the recipe and compares the samples."""
    if flags.audio is None:
        raise InputError("give the audio file to reproduce")
    audio = Path(flags.audio)
    made = recipe.from_comment(read_comment(audio), str(audio))
    if flags.show:
        say(format_recipe(made))
        return
    if flags.checkpoint is None:
        raise InputError(f"give --checkpoint, the checkpoint that {audio} was made with")
    if flags.speaker and flags.voice:
        raise InputError("--speaker and --voice are mutually exclusive")
    adapters = _adapters(flags.adapter, made, audio)
    if flags.output is not None:
        check_output(flags.output)
    recording = None
    if flags.voice:
        saved = store.read_record(store.voice_path(flags.voice))
        if saved.source.sha256 != made.speaker.sha256:
            raise InputError(
                f"voice {flags.voice!r} was made from {saved.source.name}, but {audio} was made "
                f"with {made.speaker.name}"
            )
        if saved.start != made.speaker_start:
            raise InputError(
                f"voice {flags.voice!r} uses {saved.source.name} from second {saved.start:g} on, "
                f"but {audio} was made with the excerpt from second {made.speaker_start:g} on"
            )
    else:
        recording = _recording(flags.speaker, made.speaker, audio, "speaker")
    recorded, prompt = made.emotion.prompt, None
    if isinstance(recorded, EmotionPrompt) and recorded.source is not None:
        prompt = _recording(flags.emotion, recorded.source, audio, "emotion")
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), stage_bar("Speaking") as on_stage, abandonable():
        clock = Clock(on_stage)
        with clock.stage("loading"):
            run = RunConfig(
                dtype=made.dtype,
                fused_attention=made.fused_attention,
                deterministic=made.deterministic,
            )
            tts = IndexTTS.open(flags.checkpoint, run, adapters=adapters)
        if (ours := recipe.fingerprint(tts.model)) != made.checkpoint:
            raise InputError(
                f"{audio} was made with another checkpoint: expected fingerprint "
                f"{made.checkpoint[:12]}, {flags.checkpoint} has {ours[:12]}"
            )
        if recording is None:
            voice = store.load_voice(tts.model, store.voice_path(flags.voice))
        else:
            voice = tts.voice(recording, clock, excerpt=made.speaker_start)
        emotion = None
        if isinstance(recorded, EmotionPrompt) and prompt is not None:
            emotion = tts.emotion(prompt, clock, excerpt=recorded.start)
        request = made.request(voice, emotion)
        tts.release_encoders()
        with clock.stage("loading"):
            tts.fetch()
        speech = tts.speak(request, on_stage=on_stage)
    equal = recipe.hash_samples(speech.samples) == made.samples
    if flags.output is not None:
        again = recipe.write_down(tts.model, request, speech.samples, device, made.dtype)
        speech.save(flags.output, comment=recipe.to_comment(again))
        say(f"{flags.output}: {speech.duration:.2f} s of audio")
    if not equal:
        raise Failure(
            f"the samples differ from those of {audio}, which was made on {made.device} with "
            + ", ".join(f"{v.package} {v.version}" for v in made.versions)
        )
    say(f"equal to {audio}, bit for bit")


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="replay",
        summary="reproduces an output from the recipe stored in it.",
        common=COMMON,
        positional=POSITIONAL,
        examples=EXAMPLES,
    )
