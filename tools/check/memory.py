"""Memory and time of importing a published model, and of loading a checkpoint (Linux).

    python -m tools.check.memory import full full_jax --dtype float32
    python -m tools.check.memory load full_jax --dtype bfloat16

Each runs in a process of its own. `VmHWM` is the largest resident set that the system counted,
mapped pages of files included; `RssAnon` is the largest private memory, sampled every 20 ms. For an
import it also prints how many bytes of each file were read, beside the file's size: the training
state of `s2mel.pth` is not read. (Every file is read once more, in small pieces, for its hash in
the provenance.) The last line is the same as JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tools.check import process_memory

INTERVAL = 0.02  # seconds


def load(path: str, dtype: str) -> dict[str, Any]:
    """Loads a checkpoint in this process, as synthesis does; seconds, and bytes of memory."""
    import jax

    from indextts_jax.config import RunConfig
    from indextts_jax.runtime.model import load_model

    before, start = process_memory.read(), time.perf_counter()
    model = load_model(path, RunConfig(dtype=dtype))
    jax.block_until_ready(model.params)
    return {
        "seconds": time.perf_counter() - start,
        "arrays": sum(leaf.nbytes for leaf in jax.tree.leaves(dict(model.params))),
        "before": before,
        "after": process_memory.read(),
    }


def asked_for(src: Path) -> dict[str, dict[str, int]]:
    """Bytes of each published file that an import reads, and its size."""
    from importers.speech import Importer
    from indextts_jax.models.components import COMPONENTS

    importer = Importer.open(src)
    for component in COMPONENTS:
        if component != "text_emotion":
            importer.read(component)
    return {
        importer.located.name(file): {"asked_for": tensors.bytes_read, "size": size}
        for file, tensors in importer.tensors.items()
        if (size := importer.located.files[file].stat().st_size) > 10**6
    }


def watched(command: list[str]) -> dict[str, Any]:
    """Runs a command; returns its seconds, exit status, and the peaks of its memory."""
    start, most = time.perf_counter(), Counter[str]()
    with subprocess.Popen(command, cwd=Path.cwd()) as process:
        while process.poll() is None:
            most |= Counter(process_memory.read(process.pid))
            time.sleep(INTERVAL)
    return {"seconds": time.perf_counter() - start, "exit": process.returncode, "most": dict(most)}


def main() -> int:
    """Measures what the arguments say; returns the command's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True)
    command = what.add_parser("import", help="python -m indextts_jax.import")
    command.add_argument("src", type=Path)
    command.add_argument("dst", type=Path)
    command.add_argument("--dtype", default="float32")
    command = what.add_parser("load", help="load_model, as synthesis does")
    command.add_argument("checkpoint")
    command.add_argument("--dtype", default="float32")
    command = what.add_parser("asked-for", help="bytes of each file that an import reads")
    command.add_argument("src", type=Path)
    args = parser.parse_args()
    if args.what == "asked-for":
        print(json.dumps(asked_for(args.src)))
        return 0
    if args.what == "load":
        found = load(args.checkpoint, args.dtype)
        for when in ("before", "after"):
            print(f"{when + ':':7} {process_memory.show(found[when])}")
        print(f"{found['arrays'] / 1e9:.2f} GB of arrays in {found['seconds']:.1f} s")
        print(json.dumps(found))
        return 0
    module = [sys.executable, "-m", "indextts_jax.import", "--src", str(args.src)]
    found = watched([*module, "--dst", str(args.dst), "--dtype", args.dtype])
    print(f"{found['seconds']:.1f} s, at most: {process_memory.show(found['most'])}")
    if not found["exit"]:
        run = [sys.executable, "-m", "tools.check.memory", "asked-for", str(args.src)]
        answer = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        found["files"] = json.loads(answer)
        for name, file in found["files"].items():
            print(f"{name}: {file['asked_for']:,} of {file['size']:,} bytes read")
    print(json.dumps(found))
    return int(found["exit"])


if __name__ == "__main__":
    sys.exit(main())
