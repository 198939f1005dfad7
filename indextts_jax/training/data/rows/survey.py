"""Surveys all rows of the manifests: measures, reads, checks, and splits. No network runs."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from indextts_jax.config import ModelConfig
from indextts_jax.errors import InputError
from indextts_jax.training.data import features
from indextts_jax.training.data.alignment import Labels, labels_of, misfit
from indextts_jax.training.data.index import FEATURES, Row
from indextts_jax.training.data.job import Job, Progress
from indextts_jax.training.data.kept import Before, read_before
from indextts_jax.training.data.pairs import Pairs
from indextts_jax.training.data.rows import checks, recording, texts
from indextts_jax.training.data.rows.checks import Finding, Kept, Limits
from indextts_jax.training.data.rows.facts import FILE as FACTS
from indextts_jax.training.data.rows.facts import Facts
from indextts_jax.training.data.rows.manifest import Clip
from indextts_jax.training.data.rows.recording import Measured
from indextts_jax.training.data.rows.report import Judged, Report
from indextts_jax.training.data.rows.split import Item, split
from indextts_jax.training.data.rows.texts import Reader, ReadText, TextTokenizer
from indextts_jax.training.versions.interface import kind_of
from indextts_jax.utils.hashing import digest, versions
from indextts_jax.utils.strict_data import to_data

NO_PROMPT = Finding(
    "pairs: no prompt",
    "its speaker has no other clip of 2 to 15 s; set own_prompts to use the clip itself",
    True,
)
UNUSED = Finding(
    "split: unused",
    "a validation clip of a manifest with a larger weight has the same text",
    True,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row of a manifest with its findings."""

    clip: Clip
    sha256: str
    measured: Measured
    read: ReadText
    seconds: float
    features: int  # semantic features
    codes: int
    findings: tuple[Finding, ...]
    labels: Labels | None = None  # for the alignment of codes; None if not requested, or impossible

    @property
    def rejected(self) -> bool:
        """Whether it is rejected."""
        return any(finding.rejects for finding in self.findings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """All rows with their findings, and the rows to use."""

    kept: tuple[Candidate, ...]
    rows: tuple[Row, ...]  # in the order of `kept`
    report: Report


def survey(
    clips: Sequence[Clip],
    job: Job,
    config: ModelConfig,
    tokenizer: TextTokenizer | None,
    *,
    keep: bool = True,
    on_progress: Progress = lambda done, of, what: None,
) -> Survey:
    """Checks every clip, without running a network. Without `keep` nothing is written.

    Raises:
        InputError: if the tokenizer has more pieces than the model has embeddings.
    """
    if tokenizer is not None and tokenizer.size > config.gpt.text_vocabulary:
        raise InputError(
            f"the tokenizer has {tokenizer.size} pieces, the model embeds "
            f"{config.gpt.text_vocabulary}: make a tokenizer with fewer pieces",
            "pieces",
        )
    limits = job.limits
    if job.speaks:
        limits = dataclasses.replace(
            limits,
            tokens=min(limits.tokens or config.gpt.max_text_tokens, config.gpt.max_text_tokens),
            codes=config.gpt.max_codes,
        )
    facts = Facts(job.dst / FACTS if job.dst.is_dir() or keep else None)
    rate = config.mel.sample_rate
    hashes: dict[Path, str] = {}  # cache, for recordings with several clips
    read = _reader(job, config, tokenizer, facts)

    def look(clip: Clip) -> Candidate:
        try:
            sha256 = _hashed(clip, hashes)
        except InputError as error:
            found = Finding("audio: unreadable", str(error), True)
            return _candidate(clip, "", Measured(fault="unreadable"), ReadText(), config, [found])
        key = digest([recording.VERSION, sha256, clip.start, clip.end, rate, to_data(job.trim)])
        measured = facts.get(Measured, key, lambda: recording.measure(clip, rate, job.trim))
        return _candidate(clip, sha256, measured, read(clip), config, None, limits)

    candidates: list[Candidate] = []
    with ThreadPoolExecutor(max(1, job.workers)) as pool:
        for number, candidate in enumerate(pool.map(look, clips), 1):
            candidates.append(candidate)
            on_progress(number, len(clips), f"checking {candidate.clip.id[:24]}")
            if keep and number % 1000 == 0:
                facts.save()
    if keep:
        facts.save()
    if job.reads:
        candidates = _matched(candidates, limits)
    elif (before := read_before(job.dst, config)) is not None:
        candidates = [_as_before(candidate, before) for candidate in candidates]
    if job.aligns and tokenizer is not None:
        candidates = [_labelled(candidate, tokenizer) for candidate in candidates]
    return _finished(candidates, job, config, limits)


def _reader(
    job: Job, config: ModelConfig, tokenizer: TextTokenizer | None, facts: Facts
) -> Callable[[Clip], ReadText | None]:
    """A cached reader of the clips' texts; None if no recipe uses them."""
    if tokenizer is None or not job.reads:
        return lambda clip: None
    reader = Reader(tokenizer, config, compat=job.text_compat, glossary=job.glossary)
    glossary = texts.glossary_hash(job.glossary)
    # Everything besides the text that tokens depend on (the front end's rules are part of the
    # program).
    key = [tokenizer.sha256, to_data(versions()[0]), job.text_compat, glossary]

    def read(clip: Clip) -> ReadText:
        named = reader.named(clip.language)
        what = [*key, clip.text, *([named] if named else [])]
        return facts.get(ReadText, digest(what), lambda: reader.read(clip.text, named))

    return read


def _hashed(clip: Clip, hashes: dict[Path, str]) -> str:
    if clip.recording.embedded is not None:
        return clip.recording.sha256()
    if clip.recording.path not in hashes:
        hashes[clip.recording.path] = clip.recording.sha256()
    return hashes[clip.recording.path]


def _candidate(
    clip: Clip,
    sha256: str,
    measured: Measured,
    read: ReadText | None,
    config: ModelConfig,
    found: list[Finding] | None,
    limits: Limits | None = None,
) -> Candidate:
    samples, rate = measured.last - measured.first, config.mel.sample_rate
    count = features.feature_count(samples, rate) if samples else 0
    codes = kind_of(config).codes_of(count)
    seconds = samples / rate
    if found is None and limits is not None:
        found = checks.audio_findings(measured, seconds, limits)
        if read is not None:
            found += checks.text_findings(clip.text, read, limits)
        if not any(finding.rejects for finding in found):
            found += checks.length_findings(read, count, codes, limits)
    return Candidate(
        clip=clip,
        sha256=sha256,
        measured=measured,
        read=read or ReadText(),
        seconds=seconds,
        features=count,
        codes=codes,
        findings=tuple(found or ()),
    )


def _more(
    candidates: Sequence[Candidate], judge: Callable[[list[Candidate]], Sequence[list[Finding]]]
) -> list[Candidate]:
    """Adds findings to candidates that are not rejected."""
    kept = [candidate for candidate in candidates if not candidate.rejected]
    found = iter(judge(kept))
    return [
        candidate
        if candidate.rejected
        else dataclasses.replace(candidate, findings=(*candidate.findings, *next(found)))
        for candidate in candidates
    ]


def _as_before(candidate: Candidate, before: Before) -> Candidate:
    """The candidate with its earlier normalised text, so that it stays in its split."""
    spoken = before.spoken(candidate.clip.id, candidate.clip.text)
    read = dataclasses.replace(candidate.read, spoken=spoken)
    return dataclasses.replace(candidate, read=read)


def _matched(candidates: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    return _more(
        candidates,
        lambda kept: checks.match_findings(
            [c.read.spoken for c in kept], [c.seconds for c in kept], limits
        ),
    )


def _labelled(candidate: Candidate, tokenizer: TextTokenizer) -> Candidate:
    """The candidate with its alignment labels, or a warning that its codes cannot be aligned."""
    if candidate.rejected:
        return candidate
    labels = labels_of(tokenizer.spelled(candidate.read.tokens))
    if problem := misfit(labels.letters, candidate.codes):
        found = Finding("match: no alignment", f"{problem}: its attention is not guided", False)
        return dataclasses.replace(candidate, findings=(*candidate.findings, found))
    return dataclasses.replace(candidate, labels=labels)


def _without_prompts(rows: Sequence[Row]) -> set[str]:
    """Ids of rows without another clip of their speaker as prompt."""
    lone: set[str] = set()
    while True:  # a rejected clip may have been another one's only prompt
        left = [row for row in rows if row.id not in lone]
        pairs = Pairs(left)
        found = {row.id for row in left if not pairs.count(row)}
        if not found:
            return lone
        lone |= found


def _row(candidate: Candidate, side: str, frames: int) -> Row:
    clip = candidate.clip
    return Row(
        id=clip.id,
        audio=clip.audio,
        text=clip.text,
        speaker=clip.speaker,
        seconds=candidate.seconds,
        split=side,
        language=candidate.read.language or clip.language,
        tokens=len(candidate.read.tokens),
        codes=candidate.codes,
        frames=frames,
        weight=clip.weight,
        spoken=candidate.read.spoken,
    )


def _finished(
    candidates: Sequence[Candidate], job: Job, config: ModelConfig, limits: Limits
) -> Survey:
    kept = [candidate for candidate in candidates if not candidate.rejected]
    items = [
        Item(c.read.spoken or c.clip.id, c.clip.speaker, c.clip.split, c.clip.weight) for c in kept
    ]
    sides = split(items, job.validation, job.seed)
    hop = config.mel.hop
    rows = [
        _row(c, side, (c.measured.last - c.measured.first) // hop)
        for c, side in zip(kept, sides, strict=True)
        if side != "unused"
    ]
    reasons = {c.clip.id: UNUSED for c, side in zip(kept, sides, strict=True) if side == "unused"}
    if job.paired and not job.own_prompts:
        reasons |= dict.fromkeys(_without_prompts(rows), NO_PROMPT)
    candidates = [
        dataclasses.replace(c, findings=(*c.findings, reasons[c.clip.id]))
        if c.clip.id in reasons
        else c
        for c in candidates
    ]
    kept = [candidate for candidate in kept if candidate.clip.id not in reasons]
    rows = [row for row in rows if row.id not in reasons]
    set_rows = [Kept(row.text, row.speaker, row.seconds, row.split) for row in rows]
    side_of = {row.id: row.split for row in rows}
    judged = [
        Judged(
            id=c.clip.id,
            place=c.clip.place,
            seconds=c.seconds,
            speaker=c.clip.speaker,
            split=side_of.get(c.clip.id),
            findings=c.findings,
        )
        for c in candidates
    ]
    report = Report(
        rows=judged,
        warnings=checks.set_warnings(set_rows, limits),
        refusal=checks.set_refusal(set_rows, limits),
        # Few rows have an emotion prompt, and its features are small.
        features=sizes(rows, [f for f in job.features if f != "emotion_prompt"], config),
    )
    return Survey(kept=tuple(kept), rows=tuple(rows), report=report)


def sizes(rows: Sequence[Row], wanted: Iterable[str], config: ModelConfig) -> dict[str, int]:
    """Total bytes of each feature."""
    tokens, codes = sum(row.tokens for row in rows), sum(row.codes for row in rows)
    frames, count = sum(row.frames for row in rows), len(rows)
    width, rate = config.gpt.width, config.mel.sample_rate
    samples = [round(row.seconds * rate) for row in rows]
    heard = sum(features.feature_count(one, rate) for one in samples)
    numbers = {
        "text": tokens,
        "codes": codes,
        "style": count * config.style_encoder.style,
        "conditioning": count * config.gpt.conditioning_latents * width,
        "emotion": count * width,
        "emotion_prompt": count * width,
        "latents": codes * width,
        "alignment": codes,
        "mel": frames * config.mel.mels,
        "semantic": heard * config.semantic_encoder.width,
        "flow_mel": frames * config.mel.mels,
        "samples": sum(samples),
        "encoder_input": heard * 160,
        "encoder_mask": heard,
        "banks": sum(features.bank_frames(one, rate) for one in samples) * 80,
    }
    return {name: numbers[name] * FEATURES[name][0].itemsize for name in wanted}
