"""Checkpoints: what is saved is loaded; what is damaged is named; nothing half-written stays."""

import errno
import json
import logging
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from indextts_jax.checkpoint import reading, writing
from indextts_jax.checkpoint.reading import CheckpointMismatch, open_checkpoint
from indextts_jax.checkpoint.writing import CheckpointError, save
from indextts_jax.config import bundled_config
from indextts_jax.errors import InputError
from indextts_jax.models.components import structure
from indextts_jax.utils import atomic, hashing

CONFIG = bundled_config("tiny")
NAMES = ("emotion_prototypes", "semantic_codec", "length_regulator")


def random_params(name, dtype="float32"):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype),
        structure(name, CONFIG, dtype).expected,
    )


def write(path, names=NAMES, dtype="float32", change=lambda name, params: None, **options):
    def components():
        for name in names:
            params = random_params(name, dtype)
            change(name, params)
            yield name, params

    return save(
        path, config=CONFIG, tokenizer=b"pieces", components=components(), dtype=dtype, **options
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "model"
    write(path)
    return path


@pytest.fixture
def model(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "model")


def refused(path, *matches, names=None, error=InputError):
    with pytest.raises(error) as caught:
        open_checkpoint(path).load(names)
    for match in matches:
        assert match in str(caught.value)


def leftovers(folder, *expected):
    return sorted(set(os.listdir(folder)) - set(expected))


# What is saved is loaded.


def test_concurrent_loads_agree_and_restore_logging(sound):
    logger = logging.getLogger("absl")
    before = (logger.level, list(logger.filters))
    together = threading.Barrier(4)

    def load(_):
        together.wait()
        return open_checkpoint(sound).load(NAMES[:1])

    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load, range(4)))
    assert (logger.level, list(logger.filters)) == before
    for other in loaded[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, loaded[0])


def test_one_thread_stays_quiet_when_another_has_loaded(caplog):
    with reading.quiet():
        with reading.quiet():
            pass
        logging.getLogger("absl").error("a traceback")
    assert not caplog.records
    logging.getLogger("absl").error("heard again")
    assert [entry.message for entry in caplog.records] == ["heard again"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_loading_gives_what_was_saved(tmp_path, dtype):
    write(tmp_path / "model", dtype=dtype)
    loaded = open_checkpoint(tmp_path / "model").load()
    assert list(loaded) == list(NAMES)
    for name in NAMES:
        saved = random_params(name, dtype)
        assert jax.tree.structure(loaded[name]) == jax.tree.structure(saved)
        for ours, theirs in zip(jax.tree.leaves(loaded[name]), jax.tree.leaves(saved), strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)


def test_arrays_are_on_the_default_device(sound):
    params = open_checkpoint(sound).load(["emotion_prototypes"])["emotion_prototypes"]
    assert params["speaker"].sharding == jnp.zeros(()).sharding
    assert isinstance(params["speaker"].sharding, jax.sharding.SingleDeviceSharding)


def test_numbers_as_keys_survive(sound):
    params = open_checkpoint(sound).load(["length_regulator"])["length_regulator"]
    assert list(params["latent_projection"]) == [0, 1, 2]


def test_a_component_is_loaded_without_a_look_at_the_others(model, monkeypatch):
    """All of them take half a second at the published sizes, for each that is loaded."""

    def never(path):
        raise AssertionError("looked at all components")

    monkeypatch.setattr(reading.ocp, "checkpointables_metadata", never)
    assert set(open_checkpoint(model).load(NAMES)) == set(NAMES)


def test_a_component_loads_alone(model):
    shutil.rmtree(model / "semantic_codec")
    assert list(open_checkpoint(model).load(["length_regulator"])) == ["length_regulator"]


def test_configuration_tokenizer_and_provenance_come_along(tmp_path):
    sources = (hashing.FileHash(name="gpt.pth", size=3, sha256="ab"),)
    write(tmp_path / "model", dtype="float16", sources=iter(sources), ignored=["x.y"])
    saved = open_checkpoint(tmp_path / "model")
    assert (saved.config, saved.tokenizer, saved.components) == (CONFIG, b"pieces", NAMES)
    record = saved.provenance
    assert (record.format, record.dtype, record.ignored) == (2, "float16", ("x.y",))
    assert record.sources == sources
    assert {version.package for version in record.versions} >= {"jax", "flax", "orbax-checkpoint"}
    assert record.components[0].parameters == 15 * (192 + 64)
    assert record.components[0].bytes == 4 * 15 * (192 + 64)  # tables stay float32


def test_orbax_itself_reads_the_directory(sound):
    from orbax.checkpoint import v1 as ocp

    assert ocp.is_orbax_checkpoint(sound)
    assert set(ocp.checkpointables_metadata(sound).metadata) == set(NAMES)


def test_relative_paths_are_made_absolute(sound, monkeypatch):
    monkeypatch.chdir(sound.parent)
    assert open_checkpoint("model").path == sound


def test_nothing_but_the_checkpoint_is_left(tmp_path):
    write(tmp_path / "deep" / "er" / "model")
    assert leftovers(tmp_path / "deep" / "er", "model") == []


# What is not there, or damaged, is named.


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "provenance.json is damaged"),
        ("[]", "the format is missing"),
        ('{"format": "1"}', "the format is missing"),
        ('{"format": 2}', "missing key created"),
        ("[" * 99999, "provenance.json is damaged"),
    ],
)
def test_damaged_provenance_is_reported(model, text, match):
    (model / "provenance.json").write_text(text)
    refused(model, match)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "from an older program; import it again: python -m indextts_jax.import --src DIR"),
        (3, "from a newer program; this one reads format 2: upgrade indextts-jax"),
    ],
)
def test_another_format_is_refused_in_one_line(model, number, words):
    record = json.loads((model / "provenance.json").read_text())
    (model / "provenance.json").write_text(json.dumps({**record, "format": number}))
    refused(model, f"{model} is a checkpoint of format {number}, {words}")
    with pytest.raises(InputError, match=r"^[^\n]*$"):
        open_checkpoint(model)


def test_the_command_named_for_an_older_format_names_the_checkpoint(model):
    record = json.loads((model / "provenance.json").read_text())
    (model / "provenance.json").write_text(json.dumps({**record, "format": 1}))
    refused(model, f" --dst {model} --force")


def largest_file(folder):
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )


def test_a_flipped_byte_is_found_and_the_file_named(model):
    path = largest_file(model / "semantic_codec")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(model, f"damaged: {path}")
    assert list(open_checkpoint(model).load(["length_regulator"])) == ["length_regulator"]


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda folder: shutil.rmtree(folder / "ocdbt.process_0"), "semantic_codec cannot be read"),
        (
            lambda folder: (folder / "_METADATA").write_text("{"),
            "is not part of the Orbax directory",
        ),
    ],
)
def test_unreadable_by_orbax_gives_one_line(model, damage, match):
    damage(model / "semantic_codec")
    with pytest.raises(CheckpointMismatch, match=match) as caught:
        open_checkpoint(model).load(["semantic_codec"], verify=False)
    assert "\n" not in str(caught.value)


def test_every_array_that_differs_is_named(tmp_path):
    def change(name, params):
        if name == "semantic_codec":
            embed = params["embed"]
            del embed["bias"]
            embed["kernel"] = embed["kernel"][1:]
            embed["new"] = np.ones(2, np.float32)
            params["norm_in"]["scale"] = params["norm_in"]["scale"].astype(np.float16)

    write(tmp_path / "model", change=change)
    with pytest.raises(CheckpointMismatch) as caught:
        open_checkpoint(tmp_path / "model").load(["semantic_codec"])
    assert sorted(caught.value.problems) == [
        "dtype of semantic_codec.norm_in.scale: float16, expected float32",
        "missing: semantic_codec.embed.bias (24,)",
        "shape of semantic_codec.embed.kernel: (6, 32, 24), expected (7, 32, 24)",
        "unexpected: semantic_codec.embed.new",
    ]


# What is there already.


def test_a_checkpoint_is_not_overwritten(model):
    before = (model / "provenance.json").read_bytes()
    with pytest.raises(InputError, match="exists already; --force replaces it"):
        write(model)
    with pytest.raises(InputError, match="exists already"):
        writing.check_destination(model)
    assert (model / "provenance.json").read_bytes() == before


def test_force_replaces_a_checkpoint(model):
    write(model, names=["emotion_prototypes"], force=True)
    assert open_checkpoint(model).components == ("emotion_prototypes",)
    assert leftovers(model.parent, "model") == []


def test_force_replaces_nothing_else(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "provenance.json").write_text("of a book")
    (tmp_path / "thesis" / "chapter").write_text("words")
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    for name in ("thesis", "link", "thesis/chapter"):
        with pytest.raises(InputError, match="is not a checkpoint: it is not replaced"):
            write(tmp_path / name, force=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == "words"


@pytest.mark.parametrize("parent", ["/proc/none", __file__])
def test_unwritable_destination_is_reported(parent):
    with pytest.raises(InputError, match="cannot write to"):
        write(f"{parent}/model")


# Interruptions.


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("existing", [False, True])
def test_whatever_stops_saving_leaves_things_as_they_were(tmp_path, error, existing):
    target = tmp_path / "new" / "model"
    if existing:
        write(target, names=["emotion_prototypes"])

    def stop(name, params):
        if name == "semantic_codec":
            raise error

    with pytest.raises(error):
        write(target, change=stop, force=True)
    if existing:
        assert open_checkpoint(target).components == ("emotion_prototypes",)
        assert leftovers(target.parent, "model") == []
    else:
        assert leftovers(tmp_path) == []


def test_signals_wait_for_what_is_being_written(tmp_path, monkeypatch):
    def slow(path, tree):
        (path.parent / "started").touch()
        time.sleep(0.5)
        finished.append((path.parent / "started").exists())

    def interrupt(number, frame):
        if not finished:
            raise KeyboardInterrupt

    finished = []
    monkeypatch.setattr("orbax.checkpoint.v1.save_checkpointables", slow)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.05)  # and again and again
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "model", names=["emotion_prototypes"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert finished == [True]
    assert leftovers(tmp_path) == []


def test_a_failure_at_the_last_moment_puts_the_old_one_back(model, monkeypatch):
    def refuse(self, target):
        if self.name == "model" and self.parent.name == ".model.partial":
            raise OSError(28, "No space left on device")
        return os.rename(self, target)

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    with pytest.raises(CheckpointError, match="No space left on device"):
        write(model, names=["emotion_prototypes"], force=True)
    monkeypatch.undo()
    assert open_checkpoint(model).components == NAMES
    assert leftovers(model.parent, "model") == []


def test_a_signal_between_the_two_renames_puts_the_old_one_back(model, monkeypatch):
    def interrupted(self, target):
        result = os.rename(self, target)
        if target.name == "previous":
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr("pathlib.Path.rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(model, names=["emotion_prototypes"], force=True)
    monkeypatch.undo()
    assert open_checkpoint(model).components == NAMES
    assert leftovers(model.parent, "model") == []


def test_a_second_signal_does_not_stop_the_removal(tmp_path, monkeypatch):
    remove, signals = shutil.rmtree, iter([KeyboardInterrupt, SystemExit])

    def interrupted(folder, **options):
        if folder.name == ".model.partial" and (error := next(signals, None)):
            raise error
        remove(folder, **options)

    def stop(name, params):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", interrupted)
    with pytest.raises(SystemExit):
        write(tmp_path / "model", change=stop)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (errno.EACCES, "another process is writing"),
        (errno.EWOULDBLOCK, "another process is writing"),
        (errno.ENOLCK, "cannot lock .*No locks available"),
    ],
)
def test_lock_failure_is_explained(tmp_path, monkeypatch, number, match):
    def refuse(descriptor, kind):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(InputError, match=match):
        write(tmp_path / "model")


def test_remains_of_a_killed_process_are_removed(tmp_path):
    stage = tmp_path / ".model.partial"
    (stage / "model" / "gpt").mkdir(parents=True)
    (stage / "parts" / "x.orbax-checkpoint-tmp").mkdir(parents=True)
    (stage / "file").write_text("")
    (stage / atomic.MARK).touch()
    refused(stage, "is not a checkpoint")
    write(tmp_path / "model", names=["emotion_prototypes"])
    assert leftovers(tmp_path, "model") == []


def test_a_checkpoint_that_a_killed_process_was_replacing_comes_back(model):
    stage = model.parent / ".model.partial"
    stage.mkdir()
    (stage / atomic.MARK).touch()
    model.rename(stage / "previous")
    with pytest.raises(InputError, match="exists already"):
        write(model)
    assert open_checkpoint(model).components == NAMES


def test_the_digest_tells_arrays_apart_by_path_dtype_shape_and_number() -> None:
    base = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.float32(1)}
    same = {"c": np.float32(1), "a": {"b": np.asfortranarray(base["a"]["b"])}}
    others = [
        {"a": {"b": base["a"]["b"].reshape(3, 2)}, "c": np.float32(1)},
        {"a": {"b": base["a"]["b"].astype(np.float64)}, "c": np.float32(1)},
        {"a": {"b": base["a"]["b"] + np.float32(1e-6)}, "c": np.float32(1)},
        {"a": {"c": base["a"]["b"]}, "c": np.float32(1)},
    ]
    digest = hashing.hash_arrays(base)
    assert hashing.hash_arrays(same) == digest
    assert digest not in [hashing.hash_arrays(other) for other in others]
