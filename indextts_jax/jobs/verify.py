"""Checks a finished set: every row once, every file as its marker says, every recording whole."""

import array
import concurrent.futures
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from indextts_jax.errors import InputError
from indextts_jax.jobs.output import AUDIO, ROWS, Output
from indextts_jax.jobs.plan import Pack, Plan, read_packs, read_plan, read_same
from indextts_jax.jobs.results import SPOKEN, read_audio, read_rows
from indextts_jax.jobs.rows import SAME, STATUSES, hash_rows
from indextts_jax.utils.hashing import hash_file

NAMED = 20  # problems that a report lists


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a pack's files say."""

    pack: int
    problems: tuple[str, ...]
    keys: tuple[str, ...] = ()  # of its recordings
    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of a check."""

    packs: int
    rows: int
    missing: int  # packs without a marker
    counts: Counter[str]
    seconds: float
    problems: tuple[tuple[int | None, str], ...]  # pack, if it is one's, and message
    orphans: int

    @property
    def clean(self) -> bool:
        """Whether the set is complete and undamaged."""
        return not self.problems and not self.missing

    @property
    def damaged(self) -> list[int]:
        """Packs with a problem."""
        return sorted({pack for pack, _ in self.problems if pack is not None})

    def text(self) -> str:
        """As a few lines."""
        counts = ", ".join(f"{self.counts[s]:,} {s}" for s in STATUSES if self.counts[s])
        lines = [
            f"{self.packs - self.missing:,} of {self.packs:,} packs, {sum(self.counts.values()):,} "
            f"of {self.rows:,} rows{': ' + counts if counts else ''}; "
            f"{self.seconds / 3600:,.2f} h of audio"
        ]
        lines += [message for _, message in self.problems[:NAMED]]
        if len(self.problems) > NAMED:
            lines.append(f"{len(self.problems) - NAMED:,} more problems")
        if self.missing:
            lines.append(f"{self.missing:,} packs are missing: run makes them")
        if self.orphans:
            lines.append(f"{self.orphans:,} files of interrupted runs, which merge leaves out")
        if self.clean:
            lines.append("every row is there exactly once, and every recording is whole")
        return "\n".join(lines)


def verify(
    output: Output,
    *,
    decode: bool = True,
    threads: int = 4,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Checks all finished packs of a set; without `decode` recordings are not decoded.

    Raises:
        InputError: if there is no plan.
    """
    plan, packs, same = read_plan(output), read_packs(output), read_same(output)
    done = output.done()
    there = [pack for pack in packs if pack.number in done]
    problems: list[tuple[int | None, str]] = []
    if unknown := done - {pack.number for pack in packs}:
        problems.append((None, f"a marker of pack {min(unknown)}, which is not in the plan"))
    counts: Counter[str] = Counter()
    seconds, keys, owners = 0.0, array.array("Q"), array.array("q")
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        checks = pool.map(lambda pack: _check(output, plan, pack, same, decode), there)
        for number, found in enumerate(checks, 1):
            problems += [(found.pack, f"pack {found.pack}: {line}") for line in found.problems]
            keys.extend(int(key[:16], 16) for key in found.keys)
            owners.extend([found.pack] * len(found.keys))
            counts.update(found.counts)
            seconds += found.seconds
            progress(number, len(there))
    for first, second in _twice(keys, owners):
        problems.append((second, f"pack {second}: a recording of pack {first} is in it, too"))
    damaged = {pack for pack, _ in problems}
    orphans = len(output.orphans()) if not damaged else 0
    missing = len(packs) - len(there)
    return Report(len(packs), plan.rows, missing, counts, seconds, tuple(problems), orphans)


def _twice(keys: "array.array[int]", owners: "array.array[int]") -> list[tuple[int, int]]:
    """Pairs of packs that have a recording with the same key."""
    if not keys:
        return []
    found, packs = np.frombuffer(keys, np.uint64), np.frombuffer(owners, np.int64)
    order = np.argsort(found, kind="stable")
    equal = np.flatnonzero(found[order][1:] == found[order][:-1])
    pairs = zip(packs[order[equal]].tolist(), packs[order[equal + 1]].tolist(), strict=True)
    return sorted(set(pairs))


def _check(output: Output, plan: Plan, pack: Pack, same: dict[int, int], decode: bool) -> Checked:
    try:
        marker = output.marker(pack.number)
    except InputError as error:
        return Checked(pack.number, (str(error),))
    problems = []
    for record in marker.files:
        path = output.file(record)
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif (found := hash_file(path, record.name)) != record:
            what = "size" if found.size != record.size else "SHA-256"
            problems.append(f"{path} is damaged: its {what} is not the recorded one")
    if problems:
        return Checked(pack.number, tuple(problems))
    rows = read_rows(output.file(marker.file(ROWS)))
    if hash_rows([(row["id"], row["key"]) for row in rows]) != pack.keys:
        problems.append("its ids and keys are not those of the plan")
    if [row["row"] for row in rows] != list(range(pack.first, pack.first + pack.rows)):
        problems.append("its rows are not those of the plan")
    counts = Counter(row["status"] for row in rows)
    if counts != Counter(dict(marker.counts)):
        problems.append("its statuses are not those of its marker")
    for row in rows:
        if (row["status"] == SAME) != (row["row"] in same):
            problems.append(f"row {row['id']:.60}: status {row['status']} against the plan")
    spoken = {row["key"]: row for row in rows if row["status"] in SPOKEN}
    keys, lines = _check_audio(output.file(marker.file(AUDIO)), spoken, decode)
    seconds = sum(row["seconds"] for row in rows)
    return Checked(pack.number, (*problems, *lines), tuple(keys), counts, seconds)


def _check_audio(
    path: Path, spoken: dict[str, dict[str, object]], decode: bool
) -> tuple[Sequence[str], list[str]]:
    try:
        recordings = read_audio(path)
    except (ValueError, KeyError, OSError) as error:
        return [], [f"{path} cannot be read: {error!s:.120}"]
    keys = [str(about["key"]) for about, _ in recordings]
    problems = []
    if sorted(keys) != sorted(spoken):
        problems.append(f"{path} has {len(keys)} recordings, expected {len(spoken)}")
    for about, flac in recordings if decode else ():
        row = spoken.get(about["key"])
        if row is None:
            continue
        try:
            samples, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
        except soundfile.SoundFileError as error:
            problems.append(f"{row['id']}: {error!s:.120}")
            continue
        if (len(samples), rate) != (row["samples"], row["sample_rate"]):
            problems.append(
                f"{row['id']}: {len(samples):,} samples at {rate} Hz, expected "
                f"{row['samples']:,} at {row['sample_rate']}"
            )
    return keys, problems
