"""The public interface: what it names, that importing it is quick, and what it gives."""

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import golden_copies
import pytest
import support

import indextts_jax

ROOT = Path(indextts_jax.__file__).parent


@pytest.mark.parametrize("name", indextts_jax.__all__)
def test_every_name_is_there_and_described(name: str) -> None:
    found = getattr(indextts_jax, name)
    home = importlib.import_module(indextts_jax._HOMES[name])
    assert found is getattr(home, name)
    assert callable(found) is bool(getattr(home, name).__doc__) or name == "EMOTIONS"


def test_every_name_is_listed() -> None:
    assert set(indextts_jax.__all__) <= set(dir(indextts_jax))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        indextts_jax.Nothing  # noqa: B018


def test_no_name_is_a_module_s() -> None:
    # A module sets the package's attribute of its name when it is imported.
    modules = {path.stem for path in ROOT.iterdir()}
    assert not modules & set(indextts_jax.__all__)


def test_importing_the_package_imports_nothing_large() -> None:
    code = """
    import sys
    import indextts_jax
    dir(indextts_jax)
    print([name for name in ("jax", "numpy", "flax", "absl", "yaml") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "[]\n"


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()
    assert (ROOT.parent / "importers" / "py.typed").is_file()


def test_demo_voice_is_bundled() -> None:
    assert indextts_jax.demo_speaker().is_file()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("public") / "tiny"
    seen: list[tuple[int, int, str]] = []
    made = indextts_jax.import_checkpoint(
        support.CHECKPOINTS,
        target,
        components=("semantic_codec", "gpt"),
        progress=lambda done, of, component: seen.append((done, of, component)),
    )
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] == sum(row.read for row in made.rows)
    assert {component for *_, component in seen} == {"semantic_codec", "gpt"}
    assert str(made).splitlines()[-1] == f"wrote {target}"
    return target


def test_an_import_adds_to_a_checkpoint_only_with_force(imported: Path) -> None:
    with pytest.raises(indextts_jax.InputError, match="has gpt already"):
        indextts_jax.import_checkpoint(support.CHECKPOINTS, imported, components=["gpt"])


def test_a_dry_run_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = indextts_jax.import_checkpoint(
        support.CHECKPOINTS, tmp_path / "a", components=["dit"], dry_run=True
    )
    assert not made.written
    assert not (tmp_path / "a").exists()
    assert capfd.readouterr() == ("", "")


def test_an_unknown_dtype_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(indextts_jax.InputError, match="dtype must be one of float32"):
        indextts_jax.import_checkpoint(support.CHECKPOINTS, tmp_path / "a", dtype="int3")


def test_a_checkpoint_is_described(imported: Path) -> None:
    found = indextts_jax.describe_checkpoint(imported)
    assert set(found.components) == {"semantic_codec", "gpt"}
    (gpt,) = (part for part in found.provenance.components if part.name == "gpt")
    assert gpt.parameters == 234_754
    assert found.parameters > gpt.parameters
    assert "gpt" in str(found)
    assert f"{found.bytes:,}" in str(found)


def test_a_validation_tells_how_it_came_out(tmp_path: Path, imported: Path) -> None:
    golden = golden_copies.copied(tmp_path, ["codec"])
    stages: list[str] = []
    made = indextts_jax.validate_checkpoint(
        imported, golden, "semantic_codec", on_stage=stages.append
    )
    assert made.passed
    assert len(made.rows) == 4
    assert "codec" in stages
    made.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text()) == made.certificate
    assert str(made).startswith("stage")


def test_a_validation_that_fails_names_the_arrays(tmp_path: Path, imported: Path) -> None:
    golden = golden_copies.copied(tmp_path, ["codec"])
    codes = support.golden("codec")["codes"].copy()
    codes[0, 3] = (codes[0, 3] + 1) % 7
    golden_copies.altered(golden, "codec", codes=codes)
    made = indextts_jax.validate_checkpoint(imported, golden, "semantic_codec")
    assert not made.passed
    assert "codec.codes" in {row.name for row in made.failed}


def test_an_unknown_component_is_refused(imported: Path) -> None:
    with pytest.raises(indextts_jax.InputError, match="nose"):
        indextts_jax.validate_checkpoint(imported, support.TINY, "nose")


USER = """
from collections.abc import Iterator

import numpy as np

from indextts_jax import (
    EMOTIONS,
    Emotion,
    Glossary,
    IndexTTS,
    InputError,
    SamplingConfig,
    Settings,
    Speech,
    Timing,
    Voice,
    describe_checkpoint,
    import_checkpoint,
    load_voice,
    save_voice,
    validate_checkpoint,
    voice_path,
    warm_up,
)


def halves(tts: IndexTTS, voice: Voice, text: str) -> Iterator[bytes]:
    settings = Settings(
        sampling=SamplingConfig(beams=1),
        timing=Timing(speed=1.2),
        glossary=Glossary.of({"C++": "C plus plus"}),
    )
    parts = tts.stream(text, voice, settings=settings, progress=lambda done, of: None)
    for part in parts:
        yield (part.samples * 32767).astype(np.int16).tobytes()
        if part.segment.faults:
            parts.close()


def main() -> int:
    tts = IndexTTS.load("indextts2", dtype="bfloat16", reads_emotion=True)
    anna = tts.voice("anna.wav")
    save_voice(tts.model, anna, voice_path("anna"))
    warm_up(tts, load_voice(tts.model, voice_path("anna")))
    weights = dict(zip(EMOTIONS, tts.read_emotion("glad").weights, strict=True))
    try:
        speech: Speech = tts.speak("Hello.", anna, emotion=Emotion(weights=tuple(weights.values())))
    except InputError as error:
        print(error)
        return 2
    speech.save("hello.flac")
    print(import_checkpoint("a", "b").notes, describe_checkpoint("b").parameters)
    if not validate_checkpoint("b", "proof").passed:
        return 1
    return len(speech.segments) + sum(len(sound) for sound in halves(tts, anna, "Hello."))
"""
WRONG = {
    "tts.speak(1, voice)": "arg-type",
    "tts.speak('a', voice, sped=2)": "call-arg",
    "Settings(steps='many')": "arg-type",
    "indextts_jax.Nothing": "attr-defined",
    "tts.stream('a', voice).samples": "attr-defined",
}


@pytest.mark.nightly
def test_user_script_passes_strict_type_checks(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    lines = ["import indextts_jax", "from indextts_jax import IndexTTS, Settings, Voice"]
    lines += ["def wrong(tts: IndexTTS, voice: Voice) -> None:"]
    lines += [f"    {line}" for line in WRONG]
    (tmp_path / "wrong.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "user.py", "wrong.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = [line for line in told.stdout.splitlines() if ": error: " in line]
    assert len(found) == len(WRONG), told.stdout + told.stderr
    for number, (line, kind) in enumerate(zip(found, WRONG.values(), strict=True), 4):
        assert line.startswith(f"wrong.py:{number}: error: ")
        assert line.endswith(f"[{kind}]")
