"""Puts a finished set together: recordings without faults, a table of all rows, a card.

merged/README.md             the card of the data set
merged/data/*.parquet        recordings (or *.tar), as `prepare` and `load_dataset` take them
merged/rows/*.parquet        a row for each row of the input, whatever became of it
"""

import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import soundfile

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs.output import AUDIO, ROWS, Output
from indextts_jax.jobs.plan import Plan, read_packs, read_plan
from indextts_jax.jobs.results import SUFFIXES, read_audio, tar_of, write_audio_table
from indextts_jax.jobs.rows import FAULTY, OK, STATUSES
from indextts_jax.utils import hashing
from indextts_jax.utils.atomic import check_only, put_in_place, staging

CARD = "README.md"
PARTS = ("data", "rows", CARD)


def merge(
    output: Output,
    target: Path,
    *,
    faulty: bool = False,
    partial: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """Writes the merged set and returns its card; with `faulty`, rows with faults are in it.

    Files are linked, not copied, where they can be taken as they are.

    Raises:
        InputError: if packs are missing (unless `partial`), or the target exists (unless `force`).
        Failure: if it cannot be written.
    """
    plan, packs, done = read_plan(output), read_packs(output), output.done()
    there = [pack for pack in packs if pack.number in done]
    if len(there) < len(packs) and not partial:
        raise InputError(
            f"{len(packs) - len(there):,} of {len(packs):,} packs are missing: run makes them, and "
            "--partial leaves them out",
            "partial",
        )
    counts: Counter[str] = Counter()
    statuses = (OK, FAULTY) if faulty else (OK,)
    rows = kept = 0
    seconds = 0.0
    try:
        with staging(target, force=force, ours=_is_merged) as stage:
            made = stage / "merged"
            for name in PARTS[:2]:
                (made / name).mkdir(parents=True)
            for number, pack in enumerate(there):
                marker = output.marker(pack.number)
                counts.update(marker.counts)
                rows += sum(marker.counts.values())
                name = f"{number:05}-of-{len(there):05}"
                _link(output.file(marker.file(ROWS)), made / "rows" / f"rows-{name}.parquet")
                file = made / "data" / f"train-{name}{SUFFIXES[plan.audio]}"
                audio = output.file(marker.file(AUDIO))
                count, long = _recordings(audio, file, marker.counts, statuses)
                kept, seconds = kept + count, seconds + (marker.audio if long is None else long)
                progress(number + 1, len(there))
            text = card(plan, counts, kept=kept, seconds=seconds, statuses=statuses)
            (made / CARD).write_text(text, "utf-8")
            put_in_place(stage, made, target)
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror or error}") from error
    return text


def _is_merged(target: Path) -> bool:
    if not (target / CARD).is_file():
        return False
    check_only(target, PARTS, "a merged set")
    return True


def _recordings(
    source: Path, target: Path, counts: Mapping[str, int], statuses: tuple[str, ...]
) -> tuple[int, float | None]:
    """Writes the recordings with these statuses; returns their number, and seconds if chosen."""
    if not counts.get(FAULTY) or FAULTY in statuses:
        number = counts.get(OK, 0) + counts.get(FAULTY, 0)
        if number:
            _link(source, target)
        return number, None
    chosen = [(about, flac) for about, flac in read_audio(source) if about["status"] in statuses]
    if not chosen:
        return 0, 0.0
    if target.suffix == ".tar":
        tar_of(target, chosen)
    else:
        records = [
            {**about, "audio": {"bytes": flac, "path": f"{about['key']}.flac"}}
            for about, flac in chosen
        ]
        rate = soundfile.info(io.BytesIO(chosen[0][1])).samplerate
        write_audio_table(target, records, rate)
    return len(chosen), sum(about["seconds"] for about, _ in chosen)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def card(
    plan: Plan,
    counts: Mapping[str, int],
    *,
    kept: int,
    seconds: float,
    statuses: tuple[str, ...],
) -> str:
    """The card of a data set: what it is, how it was made, under which terms."""
    about, licence = plan.about, plan.licence or "other"
    ending = SUFFIXES[plan.audio]
    voices = sorted({Path(one.path).name for one in plan.recordings.values() if one.digest})
    rows = "\n".join(f"| {name} | {counts.get(name, 0):,} |" for name in STATUSES)
    versions = ", ".join(f"{one.package} {one.version}" for one in hashing.versions())
    recipe = {
        "fingerprint": about.fingerprint,
        "dtype": about.dtype,
        "adapters": list(about.adapter_digests),
        "settings": dict(about.settings),
        "plan": plan.digest,
    }
    shown = ", ".join(voices[:20]) + (f" and {len(voices) - 20:,} more" if len(voices) > 20 else "")
    terms = (
        f"Stated by its maker: {plan.licence}."
        if plan.licence
        else "Not stated by its maker. Nothing may be assumed."
    )
    return f"""---
license: {json.dumps(licence)}
task_categories: [text-to-speech]
tags: [synthetic]
configs:
- config_name: default
  data_files: data/*{ending}
---

# Synthetic speech

All recordings in this set are synthetic: {kept:,} recordings, {seconds / 3600:,.2f} h, made by
indextts_jax from {plan.rows:,} rows of text. `data/` holds the rows with status
{" or ".join(statuses)}; `rows/` says of each row of the input what became of it. A row with status
`same` equals an earlier row (`same_as`), whose recording is its own, too.

| status | rows |
| --- | --- |
{rows}

## Terms

{terms} The terms of the model's weights (IndexTTS-2: bilibili Model Use License; the semantic
codec: CC-BY-NC-4.0) and of the voices apply as well. Voices: {shown or "none"}.

## How it was made

{versions}; {hashing.now()}

```json
{json.dumps(recipe, indent=1)}
```
"""
