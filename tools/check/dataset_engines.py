"""Measures the engines of data sets with a speaker that sleeps: what they cost beside speaking.

python -m tools.check.dataset_engines --packs 20 --pack_rows 20 --row_seconds 0.25

Prints one line of JSON for each engine and number of workers: rows a second between the first and
the last finished pack, and bytes a row in Ray's object store.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def statistics() -> Iterator[list[str]]:
    """What Ray Data says about each of its runs meanwhile."""
    found: list[str] = []
    log = logging.getLogger("indextts_jax.jobs.cluster")
    handler, level = logging.Handler(), log.level
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield found
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def measure(folder: Path, engine: str, workers: int, given: argparse.Namespace) -> dict[str, Any]:
    """One run of one engine."""
    import dataset_runs

    from indextts_jax.jobs.output import Output
    from indextts_jax.jobs.plan import read_packs

    count = given.packs * given.pack_rows
    text = "seven small words in this one sentence"
    rows = [{"id": f"r{n}", "text": text, "seed": n} for n in range(count)]
    output = folder / f"{engine}-{workers}"
    table = dataset_runs.write_table(folder / f"{engine}-{workers}.jsonl", rows)
    dataset_runs.planned(output, table, pack_seconds=86_400.0)
    whole = read_packs(Output(output))[0].seconds
    output = folder / f"{engine}-{workers}-packs"
    size = whole / given.packs * 1.0001
    dataset_runs.planned(output, table, pack_seconds=size)
    with statistics() as said:
        made = dataset_runs.speak(output, workers, engine, given.row_seconds, given.address)
    blocks = re.findall(r"Output size bytes per block: .*?(\d+) total", "".join(said))
    times = sorted(one["finished"] for one in made)
    # The first pack of each worker waits for its process to start.
    start = workers - 1
    finished = sum(sum(one["counts"].values()) for one in made if one["finished"] > times[start])
    return {
        "engine": engine,
        "workers": workers,
        "packs": len(made),
        "rows_a_second": round(finished / (times[-1] - times[start]), 3),
        "ideal": round(workers / given.row_seconds, 3),
        "bytes_a_row": round(sum(map(int, blocks)) / count, 1),  # by Ray's own statistics
    }


def main() -> None:
    """Measures each engine with one and two workers, in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--packs", type=int, default=20)
    parser.add_argument("--pack_rows", type=int, default=20)
    parser.add_argument("--row_seconds", type=float, default=0.25)
    parser.add_argument("--address", help="of a running Ray cluster; by default one is started")
    parser.add_argument("--repeats", type=int, default=1)
    given = parser.parse_args()
    path = [str(ROOT), str(ROOT / "tests" / "helpers")]
    if os.environ.get("PYTHONPATH", "").split(os.pathsep)[:2] != path:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        command = [sys.executable, "-m", "tools.check.dataset_engines", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode)
    for _ in range(given.repeats):
        for engine, workers in (("local", 2), ("ray", 2), ("local", 1), ("ray", 1)):
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps(measure(Path(folder), engine, workers, given)), flush=True)


if __name__ == "__main__":
    main()
