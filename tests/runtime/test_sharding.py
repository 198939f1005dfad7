"""Several devices, simulated on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tolerances import TOLERANCES

TESTS = Path(__file__).parents[1]


@pytest.mark.nightly
def test_speech_over_several_devices_is_that_of_one() -> None:
    """Codes, flow and vocoder: two rows of four to a device."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {
        **os.environ,
        "XLA_FLAGS": flags,
        "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'helpers'}",
    }
    run = subprocess.run(
        [sys.executable, str(TESTS / "helpers" / "several_devices.py")],
        env=environment,
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])

    assert found["devices"] == found["held_by"] == 2
    assert found["same_segments"] == [True] * 4
    assert max(found["apart"]) <= TOLERANCES["pipeline.buckets"][1]
