"""Speaks sentences with espeak-ng, a formant synthesizer, to teach spelling and alignment.

    python -m tools.voice.formant_speech --hours 2 --dst formant sentences.txt more.txt

Writes wav files and `manifest.jsonl`. Each time a sentence is spoken it gets another voice, speed
and pitch, which depend only on the clip's number: the same command makes the same files, and skips
those that exist. Needs the program espeak-ng (GPL). Nothing of it becomes part of the voice: its
speech trains only stages that learn words, not timbre.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
import tqdm

ACCENTS = ("en-us", "en-gb")
VARIANTS = (
    "m1",
    "m3",
    "m4",
    "m7",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "croak",
    "klatt2",
    "Andy",
    "Alicia",
)
SEED = 2


def clips(sentences: list[str]) -> Iterator[tuple[int, str, str, int, int]]:
    """Number, text, voice, words a minute and pitch of one clip after another, without end."""
    number = 0
    while True:
        order = random.Random(SEED + number).sample(range(len(sentences)), len(sentences))
        for place in order:
            draw = random.Random(f"{SEED} {number}")
            voice = f"{draw.choice(ACCENTS)}+{draw.choice(VARIANTS)}"
            yield number, sentences[place], voice, draw.randint(140, 195), draw.randint(30, 70)
            number += 1


def speak(path: Path, text: str, voice: str, speed: int, pitch: int) -> float:
    """Writes one clip; returns its seconds."""
    if not path.is_file():
        partial = path.with_suffix(".part")
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(partial)]
        subprocess.run([*command, text], check=True)
        partial.replace(path)
    return soundfile.info(path).duration


def main() -> int:
    """Reads the flags and speaks until there is enough."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.voice.formant_speech", description=__doc__.splitlines()[0]
    )
    parser.add_argument("sentences", type=Path, nargs="+", help="text files, a sentence a line")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--dst", type=Path, required=True)
    parser.add_argument("--without", type=Path, help="text file of sentences to leave out")
    args = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        print("error: the program espeak-ng is not installed", file=sys.stderr)
        return 2
    held = set(args.without.read_text("utf-8").splitlines()) if args.without else set()
    lines = [line for path in args.sentences for line in path.read_text("utf-8").splitlines()]
    sentences = [line.strip() for line in dict.fromkeys(lines) if line.strip() and line not in held]
    args.dst.mkdir(parents=True, exist_ok=True)
    wanted, total, rows = args.hours * 3600, 0.0, []
    source = clips(sentences)
    with ThreadPoolExecutor(2) as pool, tqdm.tqdm(total=round(wanted), unit="s") as bar:
        while total < wanted:
            batch = [next(source) for _ in range(64)]
            paths = [args.dst / f"{number:06d}.wav" for number, *_ in batch]
            lengths = pool.map(
                lambda one: speak(one[0], *one[1][1:]), zip(paths, batch, strict=True)
            )
            for path, (_, text, voice, *_), seconds in zip(paths, batch, lengths, strict=True):
                total += seconds
                rows.append({"audio": path.name, "text": text, "speaker": f"espeak {voice}"})
            bar.update(round(total) - bar.n)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (args.dst / "manifest.jsonl").write_text(text, encoding="utf-8")
    print(f"{len(rows):,} clips, {total / 3600:.2f} hours")
    return 0


if __name__ == "__main__":
    sys.exit(main())
