"""Judges recordings of known texts: word errors, speaker similarity, estimated quality.

    python -m tools.judge_speech --manifest results.jsonl --asr whisper-base \\
        --speaker eres2net.ckpt --dnsmos --output judged.json

A line of the manifest is an object with `audio` and `text`, and with `prompt` (a recording of the
speaker) for the similarity; paths are relative to the manifest. Give at least one judge. Needs the
extra `judge`; `docs/judging.md` says where the networks come from. They are read from local files:
nothing is downloaded.

Prints a table; `--output` writes the same numbers and those of every clip. Exits with 2 for bad
input.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from importers.formats.tensors import read_arrays
from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges.panel import Judged, Panel, score, summary
from indextts_jax.training.evaluation.judges.quality import Quality
from indextts_jax.training.evaluation.judges.recogniser import Recogniser
from indextts_jax.training.evaluation.judges.speaker import Speakers
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.text_table import table

WORST = 5  # clips that are shown


def read_manifest(path: Path) -> list[dict[str, str]]:
    """The clips of a manifest, with paths as they can be opened.

    Raises:
        InputError: for a file that cannot be read, or a line without `audio` and `text`.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error!s:.120}") from error
    clips = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error!s:.120}") from error
        if not isinstance(data, dict) or not all(
            isinstance(data.get(name), str) for name in ("audio", "text")
        ):
            raise InputError(f"{path}, line {number}: expected an object with audio and text")
        clip = {"audio": str(path.parent / data["audio"]), "text": data["text"]}
        if isinstance(data.get("prompt"), str):
            clip["prompt"] = str(path.parent / data["prompt"])
        clips.append(clip)
    if not clips:
        raise InputError(f"{path} lists no clips")
    return clips


def open_panel(args: argparse.Namespace) -> Panel:
    """The judges that the arguments name.

    Raises:
        InputError: if there are none, or a file is missing or of another kind.
    """
    if not (args.asr or args.speaker or args.dnsmos):
        raise InputError("give at least one judge: --asr, --speaker or --dnsmos")
    return Panel(
        recogniser=Recogniser(args.asr, args.language) if args.asr else None,
        embed=Speakers(read_arrays(args.speaker)) if args.speaker else None,
        quality=Quality() if args.dnsmos else None,
        language=args.language,
    )


def text_of(found: Sequence[Judged]) -> str:
    """The numbers of all clips, and the clips with the most word errors."""
    values = summary(found)
    rows: list[list[object]] = [["clips", f"{len(found)}"]]
    if "wer" in values:
        words = sum(one.words.words for one in found if one.words)
        rows.append(["words", f"{words}"])
        rows += [
            [label, f"{100 * values[name]:.2f} %"]
            for label, name in (
                ("word error rate", "wer"),
                ("substitutions", "substitutions"),
                ("deletions", "deletions"),
                ("insertions", "insertions"),
            )
        ]
    if "similarity" in values:
        rows.append(["speaker similarity", f"{values['similarity']:.3f}"])
    if "quality" in values:
        rows.append(["DNSMOS OVRL", f"{values['quality']:.2f}"])
    text = table(("what", "value"), rows)
    worst = sorted((one for one in found if one.words), key=_errors, reverse=True)
    for one in worst[:WORST]:
        if one.words and one.words.errors:
            text += f"\n\n{one.audio}: {one.words.errors} of {one.words.words} words"
            text += f"\n  text   {one.text}\n  heard  {one.heard}"
    return text


def _errors(one: Judged) -> tuple[float, int]:
    assert one.words is not None
    return one.words.rate, one.words.errors


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the arguments, judges, prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.judge_speech",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--manifest", required=True, type=Path, help="JSON lines: audio, text")
    parser.add_argument("--asr", type=Path, help="directory of a Whisper model (CTranslate2)")
    parser.add_argument("--speaker", type=Path, help="checkpoint of ERes2Net")
    parser.add_argument("--dnsmos", action="store_true", help="estimate the quality")
    parser.add_argument("--language", default="en", help="of the texts; default en")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    args = parser.parse_args(argv)
    try:
        clips = read_manifest(args.manifest)
        panel = open_panel(args)
        found = [
            panel.judge(clip["audio"], clip["text"], clip.get("prompt"))
            for clip in tqdm(clips, unit="clip", desc="Judging", disable=None)
        ]
        values = summary(found)
        if args.output:
            data = {
                "summary": {**values, "clips": len(found), "score": score(values)},
                "metric": panel.metric,
                "clips": [dataclasses.asdict(one) for one in found],
            }
            text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
            write_whole(args.output, text.encode())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text_of(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
