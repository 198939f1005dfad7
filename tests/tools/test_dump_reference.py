"""The dump of the reference, where the reference is not installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import support

TOOL = Path(__file__).parents[2] / "tools" / "dump_reference.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("indextts") is not None, reason="the reference is installed here"
)


def refused(*arguments: str) -> str:
    """Runs the tool, which must refuse; gives its one line."""
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, str(TOOL), *arguments], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_missing_reference_explains_what_to_install(tmp_path: Path) -> None:
    line = refused(
        f"--src={support.CHECKPOINTS}",
        f"--dst={tmp_path / 'golden'}",
        f"--speaker={support.TINY / 'speaker.wav'}",
    )
    assert "the PyTorch reference is not installed here" in line
    assert "pip install --no-deps indextts2-inference==2.1.1" in line
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_that_is_not_there_is_named(tmp_path: Path) -> None:
    arguments = (f"--src={tmp_path}", f"--dst={tmp_path / 'golden'}")
    assert "give --speaker FILE" in refused(*arguments)
    assert "nowhere.wav: no such file" in refused(*arguments, "--speaker=nowhere.wav")
