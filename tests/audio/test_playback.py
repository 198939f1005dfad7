"""The queue of samples, and the player on a device that plays nothing."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from indextts_jax.audio import playback
from indextts_jax.audio.playback import NOWHERE, Player, SampleQueue
from indextts_jax.errors import Failure, InputError

RAMP = np.arange(1, 1001, dtype=np.float32)


def test_samples_come_out_in_order() -> None:
    queue = SampleQueue()
    for start in range(0, 1000, 300):
        queue.write(RAMP[start : start + 300])
    queue.close()
    found = np.concatenate([queue.read(137) for _ in range(8)])
    assert np.array_equal(found[:1000], RAMP)
    assert not found[1000:].any()
    assert (queue.played, queue.held, queue.underruns) == (1000, 0, 0)
    assert queue.ended.is_set()


def test_nothing_is_read_before_the_release() -> None:
    queue = SampleQueue()
    queue.write(RAMP)
    assert not queue.read(10).any()
    queue.release()
    assert queue.read(10).all()
    assert queue.underruns == 0


def test_missing_samples_are_silence_and_counted_once() -> None:
    queue = SampleQueue()
    queue.release()
    queue.write(RAMP[:5])
    assert np.array_equal(queue.read(8), [1, 2, 3, 4, 5, 0, 0, 0])
    queue.read(8)
    assert (queue.underruns, queue.starved) == (1, 11)
    queue.write(RAMP[5:20])
    assert np.array_equal(queue.read(8), RAMP[5:13])
    queue.read(8)
    assert queue.underruns == 2


def test_paused_samples_wait() -> None:
    queue = SampleQueue()
    queue.write(RAMP)
    queue.release()
    queue.read(100)
    queue.paused = True
    assert not queue.read(100).any()
    queue.paused = False
    assert queue.read(1)[0] == 101
    assert queue.underruns == 0


def test_stopped_samples_are_dropped() -> None:
    queue = SampleQueue()
    queue.write(RAMP)
    queue.release()
    queue.stop()
    queue.write(RAMP)
    assert queue.ended.is_set()
    assert not queue.read(10).any()
    assert queue.played == 0


def heard(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What a device reads from now on."""
    found: list[np.ndarray] = []
    read = SampleQueue.read

    def noted(self: SampleQueue, count: int) -> np.ndarray:
        found.append(read(self, count))
        return found[-1]

    monkeypatch.setattr(SampleQueue, "read", noted)
    return found


def test_all_samples_are_played_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("miniaudio")
    found = heard(monkeypatch)
    with Player(48000, device=NOWHERE) as player:
        player.write(RAMP)
        player.queue.release()
        player.write(RAMP + 1000)
        player.finish()
    played = np.concatenate(found)
    assert np.array_equal(played[played != 0], np.concatenate([RAMP, RAMP + 1000]))


def test_a_pause_holds_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("miniaudio")
    found = heard(monkeypatch)
    with Player(48000, device=NOWHERE) as player:
        player.queue.paused = True
        player.write(RAMP)
        threading.Timer(0.3, lambda: setattr(player.queue, "paused", False)).start()
        begun = time.monotonic()
        player.finish()
        assert time.monotonic() - begun > 0.25
    assert np.count_nonzero(np.concatenate(found)) == 1000


def test_leaving_early_stops_the_device() -> None:
    pytest.importorskip("miniaudio")
    begun = time.monotonic()
    with Player(1000, device=NOWHERE) as player:
        player.write(np.ones(1_000_000, np.float32))
        player.queue.release()
    assert time.monotonic() - begun < 5


class Device:
    """A device that was opened and asks for nothing."""

    def start(self, source: Any) -> None: ...

    def close(self) -> None: ...


def test_a_device_that_stops_asking_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "_device", lambda rate, name: Device())
    monkeypatch.setattr(playback, "STALLED", 0.1)
    with Player(1000) as player:
        player.write(RAMP)
        with pytest.raises(Failure, match="stopped playing"):
            player.finish()


def test_a_sound_server_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(playback, "_device", lambda rate, name: answer.wait(30))
    monkeypatch.setattr(playback, "OPENING", 0.1)
    with pytest.raises(InputError, match="does not answer"):
        Player(1000)
    answer.set()


class MiniaudioError(Exception): ...


def no_device(**options: Any) -> None:
    raise MiniaudioError("failed to init device", -302)


def library(*names: str) -> Any:
    """A stand-in for miniaudio with these devices, none of which opens."""
    backends = SimpleNamespace(NULL="null", CUSTOM="custom", __iter__=None)
    devices = SimpleNamespace(get_playbacks=lambda: [{"name": name, "id": name} for name in names])

    class Backends(list[str]):
        NULL, CUSTOM = backends.NULL, backends.CUSTOM

    return SimpleNamespace(
        Backend=Backends(["alsa", "null", "custom"]),
        Devices=lambda backends: devices,
        SampleFormat=SimpleNamespace(FLOAT32=5),
        PlaybackDevice=no_device,
    )


def test_a_machine_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "_miniaudio", library)
    with pytest.raises(InputError, match=r"no audio device can be opened here .*-302"):
        Player(1000)


def test_a_device_is_chosen_by_a_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "_miniaudio", lambda: library("Speakers", "Headset", "Head unit"))
    with pytest.raises(InputError, match=r"no audio device has 'tv'.*Speakers, Headset"):
        Player(1000, device="tv")
    with pytest.raises(InputError, match="more than one"):
        Player(1000, device="head")
    with pytest.raises(InputError, match="can be opened"):
        Player(1000, device="HEADSET")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "miniaudio", None)
    with pytest.raises(InputError, match="pip install miniaudio"):
        Player(1000, device=NOWHERE)


def test_the_volume_scales_and_never_clips_over() -> None:
    queue = SampleQueue()
    queue.write(np.array([0.25, -0.75], np.float32))
    queue.close()
    source = playback._source(queue, 2.0)
    next(source)
    assert np.array_equal(np.asarray(source.send(2)), [[0.5], [-1.0]])
