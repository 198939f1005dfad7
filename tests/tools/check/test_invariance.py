"""The same codes alone, in any batch, and on several devices."""

import json
import subprocess
import sys
from pathlib import Path

import golden_copies
import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.nightly
def test_codes_do_not_depend_on_batch_or_devices(tmp_path: Path) -> None:
    checkpoint = str(golden_copies.imported(tmp_path))
    run = [sys.executable, "-m", "tools.check.invariance", "--checkpoint", checkpoint]
    given = ["--count", "12", "--sizes", "1", "3", "8", "--devices", "4"]
    done = subprocess.run([*run, *given], cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    assert {name: batch["equal"] for name, batch in report["batches"].items()} == {
        "1": 12,
        "3": 12,
        "8": 12,
        "8 on 4 devices": 12,
    }, done.stderr
    assert done.returncode == 0
