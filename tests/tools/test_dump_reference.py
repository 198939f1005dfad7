"""The dump of the reference, where the reference is not installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import support

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("indextts") is not None, reason="the reference is installed here"
)


def refused(*arguments: str) -> str:
    """Runs the tool, which must refuse; gives its one line."""
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tools.dump_reference", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_missing_reference_names_the_install_command(tmp_path: Path) -> None:
    line = refused(
        f"--src={support.CHECKPOINTS}",
        f"--dst={tmp_path / 'golden'}",
        f"--speaker={support.TINY / 'speaker.wav'}",
    )
    assert "the PyTorch reference is not installed here" in line
    assert "pip install --no-deps indextts2-inference==2.1.1" in line
    assert list(tmp_path.iterdir()) == []


def test_missing_prompt_is_named(tmp_path: Path) -> None:
    arguments = (f"--src={tmp_path}", f"--dst={tmp_path / 'golden'}")
    assert "give --speaker FILE" in refused(*arguments)
    assert "nowhere.wav: no such file" in refused(*arguments, "--speaker=nowhere.wav")


def test_files_of_the_other_version_are_refused_by_name(tmp_path: Path) -> None:
    tiny25 = support.DATA / "tiny25"
    arguments = (f"--src={tiny25 / 'checkpoints'}", f"--dst={tmp_path / 'golden'}")
    line = refused(*arguments, f"--speaker={tiny25 / 'speaker.wav'}")
    assert "of IndexTTS-2.5: only IndexTTS-2 can be recorded" in line
    assert list(tmp_path.iterdir()) == []
