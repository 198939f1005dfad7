"""Compares an earlier commit with this tree: samples bit for bit, and times.

    python -m tools.check.trees --commit 804541b --pairs 7 --output comparison.json

Each tree imports the tiny set of the tests into a checkpoint of its own. A round runs the earlier
commit, this tree, and the earlier commit again, each in a new process that reuses the programs
compiled in a first, uncounted run. So there are as many ratios of old to old as of new to old. A
loss is a median ratio above 1.03 that also exceeds the spread of old to old.

Exits with 1 if codes differ, or for a loss.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The worker runs this file by its path on the packages of either tree, so nothing of `tools` may be
# imported here.
ROOT = Path(__file__).resolve().parents[2]
SET = ROOT / "tests" / "data" / "tiny"
LOSS = 1.03  # of the median of ratios
STAGES = ("codes", "latents", "flow", "vocoder")
TEXTS = (
    "Hello world.",
    "A dog barks. [pause 0.2s] Why?",
    "the cat sat on a mat while seven dogs ran by and no bird sang.",
    "Yes.",
    "No cat is here at all, and no dog, and no bird. Is it late? It is.",
)


def worker(started: float, checkpoint: str) -> dict[str, Any]:
    """Speaks 20 utterances in the tree that is first on the path; prints what came out as JSON."""
    import numpy as np

    import indextts_jax
    from indextts_jax import IndexTTS, SamplingConfig, Settings, Timing, enable_compilation_cache

    enable_compilation_cache()
    tts = IndexTTS.load(checkpoint)
    voice = tts.voice(SET / "speaker.wav")
    prompt = tts.emotion(SET / "emotion.wav")
    weights = [0.1, 0.0, 0.3, 0.0, 0.0, 0.2, 0.0, 0.1]

    def emotion(number: int) -> dict[str, Any]:
        """One of four emotions, as this tree takes them."""
        asked = [
            {},
            {"prompt": prompt, "alpha": 0.6},
            {"weights": weights},
            {"weights": weights, "random": True},
        ][number % 4]
        if hasattr(indextts_jax, "Emotion"):
            return {"emotion": indextts_jax.Emotion(**asked)}
        names = {"prompt": "emotion"}
        return {names.get(name, f"emotion_{name}"): value for name, value in asked.items()}

    ways = (
        Settings(steps=4, max_codes=40),
        Settings(steps=4, max_codes=40, sampling=SamplingConfig(beams=1)),
        Settings(steps=4, max_codes=40, guidance=0.0, timing=Timing(speed=1.3)),
        Settings(steps=4, max_codes=40, sampling=SamplingConfig(beams=1, sample=False)),
        Settings(steps=4, max_codes=40, retries=1, quick_tokens=8),
    )
    said, start, rounds = [], 0.0, []
    for _ in range(3):  # the first may still compile, so times are the minimum of all
        spent = dict.fromkeys(STAGES, 0.0)
        said = []
        for number in range(20):
            speech = tts.speak(
                TEXTS[number % 5],
                voice,
                **emotion(number // 5),
                settings=ways[(number + number // 5) % 5],
                seed=number,
            )
            start = start or time.time() - started
            for stage in STAGES:
                spent[stage] += speech.seconds.get(stage, 0.0)
            samples = np.asarray(speech.samples, "<f4")
            said.append(
                {
                    "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
                    "codes": [segment.codes for segment in speech.segments],
                    "samples": len(samples),
                    "rms": float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))),
                }
            )
        rounds.append(spent)
    times = {name: min(spent[name] for spent in rounds) for name in STAGES}
    return {"said": said, "seconds": {**times, "start": start}}


def run(tree: Path, work: Path, *arguments: str) -> str:
    """The output of Python with a tree's packages and its own cache of compiled programs."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",
        "INDEXTTS_JAX_CACHE": str(work / "cache"),
    }
    made = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=work,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"{tree}: python {' '.join(arguments)} failed with {made.returncode}")
    return made.stdout


def spoken(tree: Path, work: Path) -> dict[str, Any]:
    """What one process of a tree says."""
    arguments = ("--worker", repr(time.time()), str(work / "tiny"))
    return json.loads(run(tree, work, str(Path(__file__).resolve()), *arguments).splitlines()[-1])


def prepared(tree: Path, work: Path) -> None:
    """The checkpoint and the compiled programs of a tree."""
    work.mkdir()
    source = ("--src", str(SET / "checkpoints"), "--dst", str(work / "tiny"))
    run(tree, work, "-m", "indextts_jax.import", *source)
    spoken(tree, work)


def ratios(
    above: Sequence[dict[str, Any]], below: Sequence[dict[str, Any]], name: str
) -> list[float]:
    """The ratios of a time, round by round."""
    pairs = zip(above, below, strict=True)
    return [one["seconds"][name] / other["seconds"][name] for one, other in pairs]


def compared(
    old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], again: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Equal samples and codes, and the ratios of each time."""
    pairs = list(zip(old[0]["said"], new[0]["said"], strict=True))
    times = {}
    for name in (*STAGES, "start"):
        ours, noise = ratios(new, old, name), ratios(again, old, name)
        middle, spread = statistics.median(ours), max(*noise, *(1 / ratio for ratio in noise))
        times[name] = {
            "median": round(middle, 3),
            "ratios": [round(ratio, 3) for ratio in ours],
            "old_to_old": [round(ratio, 3) for ratio in noise],
            "loss": middle > LOSS and middle > spread,
        }
    return {
        "utterances": len(pairs),
        "equal_samples": sum(one["sha256"] == other["sha256"] for one, other in pairs),
        "equal_codes": sum(one["codes"] == other["codes"] for one, other in pairs),
        "apart": max(abs(one["rms"] / other["rms"] - 1) for one, other in pairs),
        "times": times,
    }


def main() -> int:
    """Runs both trees in alternation, prints the comparison as JSON."""
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(float(sys.argv[2]), sys.argv[3])))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.trees", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--commit", required=True, help="the earlier commit")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work, tree = Path(folder), Path(folder) / "tree"
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--detach", "-q", str(tree), asked.commit],
            check=True,
        )
        try:
            for path, name in ((tree, "old"), (ROOT, "new")):
                prepared(path, work / name)
            old, new, again = [], [], []
            for number in range(asked.pairs):
                sys.stderr.write(f"round {number + 1} of {asked.pairs}\n")
                old.append(spoken(tree, work / "old"))
                new.append(spoken(ROOT, work / "new"))
                again.append(spoken(tree, work / "old"))
        finally:
            command = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)]
            subprocess.run(command, check=True)
    found = {"commit": asked.commit, "pairs": asked.pairs, **compared(old, new, again)}
    text = json.dumps(found, indent=1)
    print(text)
    if asked.output is not None:
        asked.output.write_text(text + "\n", "utf-8")
    lost = [name for name, time in found["times"].items() if time["loss"]]
    return int(bool(lost) or found["equal_codes"] < found["utterances"])


if __name__ == "__main__":
    sys.exit(main())
