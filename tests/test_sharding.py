"""Several devices, simulated on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tolerances import TOLERANCES

HERE = Path(__file__).parent


@pytest.mark.slow
def test_speech_over_several_devices_is_that_of_one() -> None:
    """Codes, flow and vocoder: two rows of four to a device."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(HERE)}
    run = subprocess.run(
        [sys.executable, str(HERE / "several_devices.py")],
        env=environment,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])

    assert found["devices"] == found["held_by"] == 2
    assert found["same_segments"] == [True] * 4
    assert max(found["apart"]) <= TOLERANCES["pipeline.buckets"][1]
