"""`show`: what a checkpoint says about itself, its hashes, and the marks on its arrays."""

import json
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
import support

from indextts_jax import show
from indextts_jax.checkpoint.writing import save
from indextts_jax.cli import runner
from indextts_jax.utils.hashing import FileHash

NAMES = ("emotion_prototypes", "semantic_codec", "length_regulator")
SOURCES = (FileHash(name="gpt.pth", size=3_500_000, sha256="ab" * 32),)


def write(path, change=lambda params: None, dtype="float32", tokenizer=None):
    """A checkpoint of some components of the tiny set; `change` gets the codec's arrays."""

    def components():
        for name in NAMES:
            params = jax.tree.map(np.array, support.tiny_params(name))
            if name == "semantic_codec":
                change(params)
            if name != "emotion_prototypes":  # tables stay float32
                params = jax.tree.map(lambda array: array.astype(dtype), params)
            yield name, params

    pieces = (support.CHECKPOINTS / "bpe.model").read_bytes()
    save(
        path,
        config=support.tiny_config(),
        tokenizer=pieces if tokenizer is None else tokenizer,
        components=components(),
        dtype=dtype,
        sources=SOURCES,
        ignored=("lora.weight",),
    )
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sound") / "model")


@pytest.fixture
def model(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "model")


@pytest.fixture
def run(capsys):
    def execute(*argv):
        code = runner.execute(
            show.main,
            show.define,
            name="show",
            summary="shows.",
            common=show.COMMON,
            positional=show.POSITIONAL,
            argv=[str(word) for word in argv],
        )
        out, err = capsys.readouterr()
        return code, out, err

    return execute


def test_checkpoint_contents_are_shown(run, sound):
    code, out, err = run(sound)
    assert (code, err) == (0, "")
    for told in (
        "format 2, weights in float32",
        "orbax-checkpoint",
        "ignored at import: lora.weight",
        "tokenizer: 960 pieces",
        "not in it: semantic_encoder, style_encoder",
        "semantic_codec: width 32, hidden 24",
        f"gpt.pth: 3.5 MB, SHA-256 {'ab' * 32}",
    ):
        assert told in out
    row = next(line.split() for line in out.splitlines() if line.startswith("semantic_codec "))
    arrays = jax.tree.leaves(support.tiny_params("semantic_codec"))
    count = sum(array.size for array in arrays)
    assert row[1:] == [
        f"{count:,}",
        f"{4 * count / 1e3:.1f}",
        "kB",
        str(len(arrays)),
        "float32",
        "present",
    ]


def test_the_word_and_the_flag_are_one(run, sound):
    assert run("--checkpoint", sound) == run(sound)


def test_both_dtypes_of_a_component_are_named(run, tmp_path):
    write(tmp_path / "model", dtype="bfloat16")
    out = run(tmp_path / "model")[1]
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "bfloat16" in rows["semantic_codec"]
    assert "float32" in rows["emotion_prototypes"]


def test_invalid_tokenizer_is_reported(run, tmp_path):
    write(tmp_path / "model", tokenizer=b"pieces")
    assert "6 bytes that are not a SentencePiece model" in run(tmp_path / "model")[1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "name a checkpoint"),
        (("/none",), "/none does not exist"),
        (("{model}", "--components=gpt"), "has no gpt; it has emotion_prototypes, semantic_codec"),
    ],
)
def test_missing_checkpoint_is_bad_input(run, sound, argv, message):
    code, out, err = run(*(word.format(model=sound) for word in argv))
    assert (code, out) == (runner.BAD_INPUT, "")
    assert message in err
    assert err.count("\n") == 1


# Hashes.


def largest(folder):
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )


def test_correct_hashes_are_shown_by_component(run, sound):
    code, out, err = run(sound, "--verify")
    assert (code, err) == (0, "")
    assert out.count("all hashes match") == len(NAMES) + 1
    assert "config.yaml, tokenizer.model: all hashes match" in out


def test_a_flipped_byte_is_found_in_its_component_alone(run, model):
    path = largest(model / "semantic_codec")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert run(model)[0] == 0  # not looked for
    code, out, err = run(model, "--verify")
    assert code == runner.BAD_INPUT
    assert "semantic_codec: DAMAGED" in out
    assert out.count("all hashes match") == len(NAMES)
    assert f"damaged: {path}" in err


@pytest.mark.parametrize("flags", [(), ("--verify",), ("--stats",), ("--verify", "--stats")])
def test_missing_component_is_reported_once(run, model, flags):
    shutil.rmtree(model / "semantic_codec")
    code, out, err = run(model, *flags)
    assert code == runner.BAD_INPUT
    assert "length_regulator" in out
    assert "semantic_codec" in err
    lines = err.splitlines()
    assert len(lines) == len(set(lines))


def test_truncated_file_is_reported_without_a_flag(run, model):
    path = largest(model / "semantic_codec")
    path.write_bytes(path.read_bytes()[:-1])
    code, _, err = run(model)
    assert code == runner.BAD_INPUT
    assert f"size of {path}" in err


def test_changed_arrays_are_reported(run, model):
    record = json.loads((model / "provenance.json").read_text())
    record["components"][1]["digest"] = "0" * 64
    (model / "provenance.json").write_text(json.dumps(record))
    assert run(model, "--stats")[0] == 0
    code, _, err = run(model, "--stats", "--verify")
    assert code == runner.BAD_INPUT
    assert "arrays of semantic_codec differ from those that were saved" in err


# Statistics.


def damage(params):
    """One array for each kind of mark."""
    params["embed"]["kernel"][2, 3, 4] = np.nan
    params["norm_in"]["scale"][:] = 1
    params["norm_in"]["bias"][:] = 0
    params["projection"]["kernel"][:] = 0
    params["blocks"]["fc_in"]["kernel"][1] = params["blocks"]["fc_in"]["kernel"][0]
    params["blocks"]["fc_out"]["kernel"][:] *= 1e6


EXPECTED = {
    "embed.kernel": {"broken": "1 of 5,376 numbers are NaN"},
    "norm_in.scale": {"untrained": "exactly 1 throughout, as initialised"},
    "norm_in.bias": {"untrained": "exactly 0 throughout, as initialised"},
    "projection.kernel": {"broken": "all zero"},
    "blocks.fc_in.kernel": {
        "odd": "1 of 2 slices along the first axis equal an earlier one: 1 as 0"
    },
}


def test_a_healthy_checkpoint_has_no_marks(run, sound):
    code, out, err = run(sound, "--stats")
    assert (code, err) == (0, "")
    count = sum(len(jax.tree.leaves(support.tiny_params(name))) for name in NAMES)
    assert out.splitlines()[-1] == f"{count} arrays: none looks broken or untrained"
    assert "Marked" not in out
    array = support.tiny_params("semantic_codec")["embed"]["kernel"]
    row = next(line for line in out.splitlines() if "semantic_codec.embed.kernel" in line)
    assert "7x32x24" in row
    assert f"{array.std():.2e}" in row


def test_marked_arrays_are_named_with_the_reason_and_in_the_summary(run, tmp_path):
    write(tmp_path / "model", damage)
    code, out, err = run(tmp_path / "model", "--stats")
    assert (code, err) == (0, "")
    marked, table = out[out.index("Marked arrays") :].split("\n\n")[:2]
    for path, marks in EXPECTED.items():
        for kind, reason in marks.items():
            assert f"{kind}: semantic_codec.{path}: {reason}" in marked
    assert "broken: semantic_codec.blocks.fc_out.kernel: magnitudes up to" in marked
    assert len(marked.splitlines()) == 1 + len(EXPECTED) + 1
    assert "! " in next(line for line in table.splitlines() if "projection.kernel" in line)
    summary = out.splitlines()[-1]
    assert "; marked: 3 broken, 2 untrained, 1 odd: " in summary
    assert summary.index("embed.kernel") < summary.index("norm_in.scale")


def test_stored_dtypes_make_no_marks(run, tmp_path):
    write(tmp_path / "model", dtype=ml_dtypes.bfloat16.__name__)
    assert "none looks broken" in run(tmp_path / "model", "--stats")[1]


def test_only_the_components_asked_for_are_looked_at(run, sound):
    out = run(sound, "--stats", "--verify", "--components=length_regulator")[1]
    assert "length_regulator.layers" in out
    assert "semantic_codec.embed" not in out
    assert "semantic_codec: every" not in out


def test_json_is_complete(run, tmp_path):
    write(tmp_path / "model", damage)
    code, out, err = run(tmp_path / "model", "--stats", "--verify", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out, parse_constant=pytest.fail)
    assert [part["name"] for part in data["components"]] == list(NAMES)
    assert data["verified"] == dict.fromkeys(NAMES, True)
    assert (data["problems"], data["ignored"]) == ([], ["lora.weight"])
    assert data["config"]["gpt"]["width"] == 64
    of_array = {array["array"]: array for array in data["arrays"]}
    for path, marks in EXPECTED.items():
        found = {m["kind"]: m["reason"] for m in of_array[f"semantic_codec.{path}"]["marks"]}
        assert found == marks
    assert of_array["semantic_codec.embed.kernel"]["nan"] == 1


def test_json_of_a_damaged_checkpoint_is_whole(run, model):
    shutil.rmtree(model / "semantic_codec")
    code, out, err = run(model, "--stats", "--json")
    assert code == runner.BAD_INPUT
    assert json.loads(out)["problems"]
    assert err.startswith("error: ")
