"""Measures the times of words against other aligners: how far edges are apart, and what they cost.

    python -m tools.measure_timings --checkpoint indextts2 --speaker voice.wav \\
        --text_file sentences.txt --asr whisper-base --output figures.json
    python -m tools.measure_timings --manifest clips.jsonl --asr whisper-base

The first speaks each sentence (one segment each) and compares with Whisper's words, and with the
CTC head over codes where the checkpoint has one (`ctc_head`). The second rates the estimate alone,
on recordings: a line of the manifest is an object with `audio` and `text`. Only words that both
have are compared. `--asr` needs the extra `judge`.

Prints the median and the 95th percentile in ms, and the share of the segment's time that the times
of words cost. Exits with 2 for bad input.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from indextts_jax.audio.io import load_audio, soxr_resample
from indextts_jax.engine.acoustic import SynthesisRow, synthesize_aligned
from indextts_jax.engine.alignment.words import heads_of, segment_times, words_of
from indextts_jax.engine.decoding import search_line
from indextts_jax.engine.delivery import QueuedSegment
from indextts_jax.engine.pace import frames_of
from indextts_jax.engine.parts import judge
from indextts_jax.engine.request import Request
from indextts_jax.engine.seeds import segment_keys
from indextts_jax.engine.settings import max_codes_of
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.runtime import stages
from indextts_jax.timings.pairing import pair_words, same_word
from indextts_jax.timings.source import source_words, words_by_segment
from indextts_jax.timings.words import Sound, Word, time_words
from indextts_jax.training.data.alignment import align, labels_of, misfit
from indextts_jax.training.evaluation.judges.recogniser import Recogniser
from indextts_jax.utils.atomic import write_whole
from indextts_jax.utils.stopwatch import Clock
from indextts_jax.utils.text_table import table

ASR_RATE, CODE_RATE = 16_000, 50


class Span(NamedTuple):
    """A word of another aligner."""

    text: str
    start: float  # seconds
    end: float


class Measured(NamedTuple):
    """Distances of edges in seconds, by aligner and edge; and seconds of compute."""

    edges: dict[str, list[float]]
    own: float  # of the times of words
    whole: float  # of everything


def distances(ours: Sequence[Word], theirs: Sequence[Span]) -> dict[str, list[float]]:
    """How far starts and ends are apart, for words that both have."""
    found: dict[str, list[float]] = {"start": [], "end": []}
    spans = pair_words([word.text for word in ours], [span.text for span in theirs])
    for word, (first, last) in zip(ours, spans, strict=True):
        if last - first != 1 or word.start is None or word.end is None:
            continue
        if same_word(word.text, theirs[first].text):
            found["start"].append(abs(word.start - theirs[first].start))
            found["end"].append(abs(word.end - theirs[first].end))
    return found


def whisper_words(asr: Recogniser, samples: np.ndarray, rate: int) -> list[Span]:
    """Whisper's words, without its marks around them."""
    words = asr.words(soxr_resample(samples, rate, ASR_RATE))
    return [
        Span(inner.text, start, end)
        for text, start, end in words
        for inner in source_words(text)[:1]
    ]


def spelled_words(tts: IndexTTS, text: str, pieces: Sequence[str], codes: np.ndarray, hop: float):
    """Words by the CTC head over codes, whose starts alone mean something."""
    labels = labels_of(tts.model.tokenizer.spelled(tts.model.tokenizer.ids(pieces)))
    embedded = stages.embed_codes(tts.model, codes[None].astype(np.int32))
    logits = np.asarray(stages.spell(tts.model, embedded, np.array([len(codes)], np.int32)))[0]
    if misfit(labels.letters, len(logits)):
        return []
    owners = align(logits, labels)
    (words,) = words_by_segment(text, [pieces])
    found = []
    for word in words:
        mine = np.flatnonzero((owners >= int(word.first)) & (owners < word.last))
        if len(mine):
            found.append(Span(word.word.text, mine[0] * hop, (mine[-1] + 1) * hop))
    return found


def spoken(
    tts: IndexTTS, requests: Sequence[Request], asr: Recogniser | None
) -> Iterator[Measured]:
    """Speaks each request of one segment, and compares."""
    model, heads = tts.model, heads_of(tts.model)
    with_ctc = model.provenance is not None and "ctc_head" in {
        record.name for record in model.provenance.components
    }
    for request in requests:
        settings = request.settings or tts.settings
        prepared = tts.prepared(request)(Clock())
        if len(prepared.script.segments) != 1:
            raise InputError(f"{request.text[:40]!r} is more than one segment")
        (segment,) = prepared.script.segments
        begun = time.perf_counter()
        queued = QueuedSegment(0, 0)
        codes_key, noise_key = segment_keys(request.seed, 0)
        sampling = settings.sampling_up_to(max_codes_of(model, settings))
        line = queued.line([prepared])
        ids, truncated = search_line(model, line, sampling, codes_key)
        codes, faults, _ = judge(model, segment, ids, 0, settings, truncated=truncated)
        if faults:
            sys.stderr.write(f"left out, {faults[0].kind}: {request.text[:60]}\n")
            continue
        (frames,) = frames_of([len(codes)], settings.timing, 0, model.config)
        row = SynthesisRow(line, codes, frames, noise_key)
        ((wave, attention),) = synthesize_aligned(model, [row], settings, Clock(), heads)
        after = time.perf_counter()
        (words,) = words_of(request.text, prepared.script)
        times = segment_times(model, words, segment, len(codes), wave, attention)
        done = time.perf_counter()
        rate = model.config.mel.sample_rate
        edges: dict[str, list[float]] = {}
        if asr is not None:
            theirs = whisper_words(asr, wave, rate)
            edges |= {f"whisper {k}": v for k, v in distances(times.words, theirs).items()}
        if with_ctc:
            hop = len(wave) / rate / len(codes)
            theirs = spelled_words(tts, request.text, segment.pieces, codes, hop)
            edges["ctc start"] = distances(times.words, theirs)["start"]
        yield Measured(edges, done - after, done - begun)


def recorded(clips: Sequence[dict[str, str]], asr: Recogniser) -> Iterator[Measured]:
    """Rates the estimate on recordings, with words in place of pieces."""
    for clip in clips:
        rate, hop = ASR_RATE, ASR_RATE // CODE_RATE
        wave = load_audio(Path(clip["audio"]), rate)
        codes = len(wave) // hop
        sound = Sound(wave[: codes * hop], rate, np.arange(codes), codes, 1, hop)
        pieces = [f"\u2581{word}" for word in clip["text"].split()]
        (words,) = words_by_segment(clip["text"], [pieces])
        begun = time.perf_counter()
        times = time_words(words, pieces, None, sound)
        own = time.perf_counter() - begun
        edges = distances(times.words, whisper_words(asr, wave, rate))
        yield Measured({f"whisper {k}": v for k, v in edges.items()}, own, len(wave) / rate)


def figures(found: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each kind of edge, in ms."""
    kinds = sorted({kind for one in found for kind in one.edges})
    result = {}
    for kind in kinds:
        every = 1000 * np.array([d for one in found for d in one.edges.get(kind, [])])
        if len(every):
            result[kind] = {
                "words": float(len(every)),
                "median": round(float(np.median(every)), 1),
                "p95": round(float(np.percentile(every, 95)), 1),
            }
    return result


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--checkpoint")
    parser.add_argument("--speaker")
    parser.add_argument("--text_file", type=Path)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--asr", help="Whisper in CTranslate2 format: a directory")
    parser.add_argument("--language", default="en")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=100, help="sentences or clips")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> list[Measured]:
    """The measurements that the arguments name.

    Raises:
        InputError: if something is missing.
    """
    asr = Recogniser(args.asr, args.language) if args.asr else None
    if args.manifest is not None:
        if asr is None:
            raise InputError("--manifest needs --asr")
        lines = args.manifest.read_text("utf-8").splitlines()[: args.most]
        clips = [json.loads(line) for line in lines]
        folder = args.manifest.parent
        return list(recorded([c | {"audio": str(folder / c["audio"])} for c in clips], asr))
    if not (args.checkpoint and args.speaker and args.text_file):
        raise InputError("give --checkpoint, --speaker and --text_file, or --manifest")
    tts = IndexTTS.open(args.checkpoint)
    voice = tts.voice(args.speaker)
    lines = [line for line in args.text_file.read_text("utf-8").splitlines() if line.strip()]
    requests = [Request(text=line, voice=voice, seed=args.seed) for line in lines[: args.most]]
    return list(spoken(tts, requests, asr))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures; returns the exit code."""
    args = parsed(argv)
    try:
        found = run(args)
    except (InputError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    result = figures(found)
    names = ("edge", "words", "median, ms", "95 %, ms")
    rows = [(k, f"{v['words']:.0f}", str(v["median"]), str(v["p95"])) for k, v in result.items()]
    share = sum(one.own for one in found) / max(sum(one.whole for one in found), 1e-9)
    print(table(names, rows))
    print(f"\n{len(found)} texts; the times of words cost {share:.2%} of all seconds")
    if args.output:
        data = {"texts": len(found), "cost": share, "edges": result}
        write_whole(args.output, (json.dumps(data, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
