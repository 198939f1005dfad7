"""Writes what the PyTorch reference computes for your own checkpoint, voice and text.

    reference/bin/python -m tools.dump_reference --src checkpoints/ --dst golden \\
        --speaker voice.wav --emotion sad.wav --text "The weather is fine today."

The result is a golden directory: the prompts, `tensors/*.npz` by stage, what was chosen
(`recipe.json`), and how it was made (`about.json`: versions, hashes of the published files, times).
`python -m indextts_jax.validate --checkpoint DIR --golden DIR` compares this program with it.

It runs from the root of the project in an environment that holds the reference; this program need
not be installed there. To make one:

    python3.11 -m venv reference
    reference/bin/pip install torch==2.13.0 transformers==5.2.0 numpy scipy librosa soundfile \\
        einops omegaconf munch sentencepiece safetensors
    reference/bin/pip install --no-deps torchaudio==2.11.0 indextts2-inference==2.1.1

(Without CUDA, torchaudio 2.11 may fail to load its `lib/_torchaudio.abi3.so`: remove that file,
nothing here uses it.)

Files of IndexTTS-2.5 are refused: the reference's package has IndexTTS-2 only.

The text goes to the tokenizer unchanged: write numbers and dates in words. Only the reference's own
modules compute; each is loaded for its stage and freed after it.
"""

import argparse
import importlib
import importlib.metadata
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from importers.release.locate import LAYOUTS, spellings
from indextts_jax.errors import InputError

TEXT = "Hello world, this is a test of the system."
INSTALL = "see the top of tools/dump_reference.py for the environment"
PACKAGES = (
    "torch",
    "torchaudio",
    "transformers",
    "numpy",
    "scipy",
    "librosa",
    "soundfile",
    "soxr",
    "safetensors",
    "sentencepiece",
)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 2 for bad input, 1 for a failure, 130 if interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: it cleans up
    try:
        return _dump(_arguments(argv))
    except InputError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted: nothing was left half-written", 130)
    except Exception as error:  # a user is shown one line, and a way on
        if os.environ.get("INDEXTTS_JAX_TRACEBACK"):
            raise
        text = " ".join(str(error).split())[:400]
        return _complain(
            f"{type(error).__name__}: {text} (set INDEXTTS_JAX_TRACEBACK=1 to see where)", 1
        )


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.dump_reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--src", type=Path, required=True, help="directory of the published files")
    add("--dst", type=Path, required=True, help="golden directory to write")
    add("--speaker", type=Path, help="recording of the voice")
    add("--emotion", type=Path, help="recording of the emotion (by default the speaker's)")
    add("--text", default=TEXT, help=f"what is said (by default {TEXT!r})")
    add("--device", default="cpu", help="cpu, cuda or cuda:N (by default cpu)")
    add(
        "--stages",
        default="all",
        help="stages by name, with commas; the stages they need are added",
    )
    add("--codes", type=int, default=48, help="most codes of a search (by default 48)")
    add("--steps", type=int, default=25, help="steps of the whole flow (by default 25)")
    add("--seed", type=int, default=0, help="of noise and draws (by default 0)")
    add("--inputs", type=Path, help="a golden directory whose choices and prompts are reused")
    add("--force", action="store_true", help="replace --dst if it is a golden directory")
    for model in ("w2v_bert", "semantic_codec", "campplus", "bigvgan"):
        add(f"--{model}", metavar="PATH", help="path of this model, if not in --src")
    return parser.parse_args(argv)


def _dump(args: argparse.Namespace) -> int:
    if args.inputs is None and args.speaker is None:
        raise InputError("give --speaker FILE, or --inputs DIR to use another set's prompts")
    if args.codes < 4 or args.steps < 1:
        raise InputError("--codes must be 4 or more, --steps 1 or more")
    speaker = args.speaker or args.inputs / "speaker.wav"
    emotion = args.emotion or (args.inputs / "emotion.wav" if args.inputs else speaker)
    for path in (speaker, emotion):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    _check_release(args.src)
    versions = _versions()
    torch, directory, table, modules, recorder = _modules()
    if args.stages != "all" and (unknown := set(args.stages.split(",")) - set(table.STAGES)):
        raise InputError(
            f"--stages: unknown {', '.join(sorted(unknown))}; there are {', '.join(table.STAGES)}"
        )
    stages = table.closure(table.STAGES if args.stages == "all" else args.stages.split(","))
    _prepare(torch, args.device)
    models = ("w2v_bert", "semantic_codec", "campplus", "bigvgan")
    request = directory.Request(
        files=modules.Files(args.src, {model: getattr(args, model) for model in models}),
        speaker=speaker,
        emotion=emotion,
        text=args.text,
        device=args.device,
        stages=stages,
        limits=recorder.Limits(
            codes=args.codes,
            sampled=min(args.codes, 32),
            logits=None,
            steps=args.steps,
            margins=True,
        ),
        seed=args.seed,
        inputs=args.inputs,
        versions=versions,
    )
    start = time.perf_counter()
    directory.write(request, args.dst, force=args.force, on_stage=_Progress(len(stages) + 1))
    size = sum(path.stat().st_size for path in args.dst.rglob("*") if path.is_file())
    print(f"{args.dst}: {len(stages)} stages, {size / 1e6:.1f} MB", end="")
    print(f", {time.perf_counter() - start:.0f} s")
    return 0


def _check_release(src: Path) -> None:
    """Refuses the files of IndexTTS-2.5, whose networks are in no package of the reference.

    It runs before the reference is imported, and needs none of its packages.

    Raises:
        InputError: if a file is there that only IndexTTS-2.5 has.
    """
    layout = LAYOUTS["2.5"]
    for name in layout.fixed.values():
        if any(path.is_file() for path in spellings(src / name)):
            raise InputError(
                f"{src} holds {name} of {layout.name}: only IndexTTS-2 can be recorded with this "
                "tool; tools/make/golden25.py records a small set of IndexTTS-2.5"
            )


class _Progress:
    """Shows each step with its number, and its seconds when it is over."""

    def __init__(self, steps: int):
        self._steps, self._step = steps, 0

    def __call__(self, name: str, seconds: float | None) -> None:
        if seconds is None:
            self._step += 1
            sys.stderr.write(f"[{self._step}/{self._steps}] {name}\n")
        else:
            sys.stderr.write(f"    {seconds:.1f} s\n")
        sys.stderr.flush()


def _modules() -> list[Any]:
    """Torch and our modules on top of the reference.

    Raises:
        InputError: if the reference, or something it needs, is not installed.
    """
    ours = ("golden.directory", "golden.table", "modules", "golden.recorder")
    try:
        return [
            importlib.import_module(name)
            for name in ("torch", *(f"tools.reference.{name}" for name in ours))
        ]
    except ImportError as error:
        raise InputError(
            f"the PyTorch reference cannot be imported here: {error}; install it with "
            f"pip install --no-deps indextts2-inference==2.1.1 ({INSTALL})"
        ) from error


def _versions() -> dict[str, str]:
    """Versions of the reference and of what it stands on.

    Raises:
        InputError: if the reference is not installed, or its transformers is not one it takes.
    """
    packages = importlib.metadata.packages_distributions().get("indextts", [])
    if not packages:
        raise InputError(
            "the PyTorch reference is not installed here (no module indextts): "
            f"pip install --no-deps indextts2-inference==2.1.1 ({INSTALL})"
        )
    found: dict[str, str] = {}
    for package in (packages[0], *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    if found["transformers"] == "not installed":
        raise InputError(f"transformers is not installed here ({INSTALL})")
    from packaging.requirements import Requirement  # transformers needs it too

    for line in importlib.metadata.requires(packages[0]) or ():
        wanted = Requirement(line)
        if wanted.name == "transformers" and found["transformers"] not in wanted.specifier:
            raise InputError(
                f"{packages[0]} {found[packages[0]]} needs transformers{wanted.specifier}, and "
                f"{found['transformers']} is installed: "
                f"pip install 'transformers{wanted.specifier}'"
            )
    return found


def _prepare(torch: Any, device: str) -> None:
    """Turns TF32 off, and checks that the device exists."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device} cannot be used: {reason}") from error
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


if __name__ == "__main__":
    sys.exit(main())
