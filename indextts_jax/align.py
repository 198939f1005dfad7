"""`python -m indextts_jax.align`: chooses the attention heads that give the times of words.

python -m indextts_jax.align calibrate --checkpoint indextts2 --speaker voice.wav
"""

from typing import Any

import jax
from absl import flags as absl_flags

from indextts_jax.checkpoint import alignment
from indextts_jax.checkpoint.reading import open_checkpoint
from indextts_jax.cli import prompt_flags, runner
from indextts_jax.cli.terminal import count_bar, say
from indextts_jax.config import COMPUTE_DTYPES, RunConfig
from indextts_jax.engine.alignment.calibration import HEADS, SENTENCES, calibrate
from indextts_jax.engine.request import Request
from indextts_jax.engine.seeds import chosen_seed
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices
from indextts_jax.utils.paths import user_path
from indextts_jax.utils.text_table import table
from indextts_jax.voices import store

COMMON = ("action", "checkpoint", "speaker", "voice", "text_file", "heads", "seed", "device")
EXAMPLES = (
    "align calibrate --checkpoint indextts2 --speaker voice.wav",
    "align calibrate --checkpoint indextts2 --voice anna --text_file a.txt",
)


def define(flags: absl_flags.FlagValues) -> None:
    own: dict[str, Any] = {"flag_values": flags}
    text, choice = absl_flags.DEFINE_string, absl_flags.DEFINE_enum
    choice("action", None, ["calibrate"], "What to do: calibrate.", **own)
    text("checkpoint", None, "Directory made by python -m indextts_jax.import.", **own)
    text("voice", None, "Voice saved by python -m indextts_jax.voice, instead of --speaker.", **own)
    text("speaker", None, "Recording of a voice to speak with. demo: a sample.", **own)
    prompt_flags.define(own)
    text(
        "text_file",
        None,
        "Sentences to speak, each on its own line, in the languages of the checkpoint; by default "
        "a few in English and Chinese.",
        **own,
    )
    absl_flags.DEFINE_integer("heads", HEADS, "Heads to choose, at most.", lower_bound=1, **own)
    text("seed", "0", "Random seed of the sentences.", **own)
    choice("device", "auto", list(devices.PLATFORMS), "Where to run.", **own)
    choice("dtype", None, list(COMPUTE_DTYPES), "Precision; by default float32.", **own)


def _sentences(flags: Any) -> list[str]:
    if flags.text_file is None:
        return list(SENTENCES)
    path = user_path(flags.text_file)
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"{path} has no sentences")
    return found


def main(flags: Any) -> None:
    """Speaks the sentences, scores all heads, and writes `alignment.json`."""
    if flags.action is None:
        raise InputError("give an action: calibrate")
    if not flags.checkpoint:
        raise InputError("give --checkpoint DIR (made by python -m indextts_jax.import)")
    saved, sentences = open_checkpoint(flags.checkpoint), _sentences(flags)
    alignment.fingerprint(saved.provenance)  # refused here, not after the work
    speaker, seed = prompt_flags.speaker(flags), chosen_seed(flags.seed)
    start = 0.0 if speaker is None else prompt_flags.excerpt_start(speaker, flags.prompt_excerpt)
    device = devices.choose(flags.device)
    say(f"Using device: {devices.describe(device)}")
    cache_folder.enable_compilation_cache()
    with jax.default_device(device), count_bar("Speaking", "sentence") as show:
        tts = IndexTTS.open(flags.checkpoint, RunConfig(dtype=flags.dtype))
        if speaker is None:
            voice = store.load_voice(tts.model, store.voice_path(flags.voice))
        else:
            voice = tts.voice(speaker, excerpt=start)
        tts.release_encoders()
        requests = [Request(text=text, voice=voice, seed=seed) for text in sentences]
        found = calibrate(tts, requests, flags.heads, lambda done, of: show(done, of, ""))
    path = alignment.write(saved, found.heads, found.segments)
    rows = [(str(one.layer), str(one.head), f"{one.score:.3f}") for one in found.heads]
    say(table(("layer", "head", "score"), rows))
    say(f"\nwrote {path}: {len(rows)} heads, chosen with {found.segments} segments")


if __name__ == "__main__":
    runner.run(
        main,
        define,
        name="align",
        summary="chooses the attention heads that give the times of words.",
        common=COMMON,
        positional=("action",),
        examples=EXAMPLES,
    )
