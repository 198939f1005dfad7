"""Runs every notebook from top to bottom on the small model of the tests.

    python -m tools.run_notebooks
    python -m tools.run_notebooks quickstart
    python -m tools.run_notebooks finetune --version 2.5

One cell of each, tagged "parameters", is replaced: it sets what is downloaded, and paths. The rest
is what a reader runs. Nothing is installed, downloaded, or written to the notebooks; they run in a
temporary directory. It needs the extra `test`.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools import ROOT

NOTEBOOKS = ROOT / "notebooks"
TINY = ROOT / "tests" / "data" / "tiny"
SETS = {"2.0": TINY, "2.5": ROOT / "tests" / "data" / "tiny25"}  # small models by version
SPEAKER = ROOT / "indextts_jax" / "data" / "demo_speaker.wav"  # of 3 s
WORDS = ROOT / "tests" / "data" / "qwen" / "tiny"
TIMEOUT = 600  # seconds for a cell
TAG = "parameters"

# The replaced cells by notebook. `published` is a copy of the small model's files in the directory
# where a notebook runs.
PARAMETERS = {
    "quickstart": f"""
SOURCE = ".."
DOWNLOAD = False
PUBLISHED = "published"
CHECKPOINT = "checkpoint"
SPEAKER = {str(TINY / "speaker.wav")!r}
TEXT = "Hello world."
LONG = "A dog barks. [pause 0.1s] Why?"
STEPS = STEPS_WITHOUT_GPU = 2
""",
    "emotions": f"""
SOURCE = ".."
DOWNLOAD = False
PUBLISHED = "published"
CHECKPOINT = "checkpoint"
SPEAKER = {str(TINY / "speaker.wav")!r}
EMOTION_CLIP = {str(TINY / "emotion.wav")!r}
EMOTION_TEXT = "Why?"
TEXT = "Hello world."
CHOSEN = ["happy", "calm"]
ALPHAS = [0.5]
STEPS = STEPS_WITHOUT_GPU = 2
""",
    "import_and_verify": f"""
SOURCE = ".."
DOWNLOAD = False
PUBLISHED = "published"
CHECKPOINT = "checkpoint"
RECORD = False
SPEAKER = ""
TEXT = "Hello world."
OPTIONS = ""
GOLDEN = {str(TINY)!r}
COMPONENT = "semantic_codec"
""",
    "finetune": f"""
SOURCE = ".."
DOWNLOAD = False
PUBLISHED = "published"
CHECKPOINT = "checkpoint"
CLIPS = "clips.jsonl"
PROMPT = {str(SPEAKER)!r}
TEXT = "Hello world."
PREPARE = "--one_speaker --min_clips 1 --min_minutes 0 --validation 1"
TRAIN = "--recipe gpt_lora --set compute=float32 --set epochs=1 --set batch.seconds=9 "
TRAIN += "--set batch.buckets=[3]"
STEPS = 2
from json import dumps
with open(CLIPS, "w") as file:
    for n, text in enumerate(["A dog barks.", "Why is it cold?", "No cat is here.", "It is late."]):
        clip = {{"audio": PROMPT, "text": text, "start": n / 4, "end": n / 4 + 2.2}}
        file.write(dumps(clip) + "\\n")
""",
}


def prepared(path: Path, version: str) -> nbformat.NotebookNode:
    """A notebook with its one parameter cell replaced."""
    book = nbformat.read(path, as_version=4)
    cells = [cell for cell in book.cells if TAG in cell.metadata.get("tags", ())]
    if len(cells) != 1:
        raise SystemExit(f"error: {path} has {len(cells)} cells tagged {TAG}; expected one")
    cells[0].source = parameters(path.stem, version)
    return book


def parameters(name: str, version: str) -> str:
    """The cell that replaces the parameters of a notebook."""
    paths = PARAMETERS[name].replace(str(TINY), str(SETS[version]))
    return f'VERSION = "{version}"\n{paths.strip()}'


def execute(path: Path, folder: Path, version: str) -> float:
    """Runs a notebook in a directory; returns its seconds.

    Raises:
        CellExecutionError: if a cell fails.
    """
    shutil.copytree(SETS[version] / "checkpoints", folder / "published")
    if path.stem == "emotions":
        shutil.copytree(WORDS, folder / "published" / "qwen0.6bemo4-merge")
    client = NotebookClient(
        prepared(path, version), timeout=TIMEOUT, resources={"metadata": {"path": str(folder)}}
    )
    start = time.monotonic()
    client.execute()
    failed = [
        output.text
        for cell in client.nb.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.text.startswith("error: ")  # of a command
    ]
    if failed:
        raise SystemExit(f"error: {path.name}: {failed[0]}")
    return time.monotonic() - start


def main(argv: list[str] | None = None) -> int:
    """Runs the named notebooks, or all; the exit code is 1 if one fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.run_notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = sorted(PARAMETERS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--version", choices=tuple(SETS), default="2.0", help="of IndexTTS")
    given = parser.parse_args(argv)
    chosen = given.names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # Cells that call `python` get this interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # As in the tests: nearly all of the time is compiling.
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    with tempfile.TemporaryDirectory(prefix="indextts_jax_notebooks_") as folder:
        os.environ["INDEXTTS_JAX_CACHE"] = str(Path(folder) / "cache")
        for name in chosen:
            (Path(folder) / name).mkdir()
            try:
                seconds = execute(NOTEBOOKS / f"{name}.ipynb", Path(folder) / name, given.version)
            except CellExecutionError as error:
                sys.stderr.write(f"{error}\nerror: {name}.ipynb fails\n")
                return 1
            sys.stdout.write(f"{name}.ipynb: {seconds:.0f} s\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
