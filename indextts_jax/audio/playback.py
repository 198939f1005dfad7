"""Plays samples as they are made: one device for all of them, and a queue in front of it.

    with Player(rate) as player:
        for part in parts:
            player.write(part.samples)
        player.finish()

What is not there in time is silence, and is counted. Needs miniaudio (extra `play`), which brings
its backends along.
"""

import collections
import contextlib
import ctypes
import importlib
import math
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32

from indextts_jax.errors import Failure, InputError

NOWHERE = "null"  # the name of a device that plays nothing
BUFFER = 0.1  # seconds in the device
OPENING = 10.0  # seconds that opening a device may take
STALLED = 5.0  # seconds without a request after which a device is lost
_TICK = 0.05  # seconds


class SampleQueue:
    """Samples on their way to a device. Writing and reading are for two threads.

    Reading gives silence until `release` is called, and while it is paused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.deque[Float32[np.ndarray, " n"]] = collections.deque()
        self._released = self._closed = self._starving = False
        self.paused = False
        self.held = 0  # samples that wait
        self.played = 0  # samples that were read
        self.underruns = 0  # times that samples were missing, after the first and before the last
        self.starved = 0  # samples that were missing
        self.ended = threading.Event()  # all was read, or it was stopped
        self.asked = time.monotonic()  # when a device asked last

    def write(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Adds samples at the end."""
        with self._lock:
            if len(samples) and not self._closed:
                self._waiting.append(np.asarray(samples, np.float32))
                self.held += len(samples)

    def release(self) -> None:
        """Lets the samples be read."""
        self._released = True

    def close(self) -> None:
        """Says that no more samples come; what waits is still read."""
        with self._lock:
            self._closed = self._released = True
            self._end_if_empty()

    def stop(self) -> None:
        """Drops what waits."""
        with self._lock:
            self._waiting.clear()
            self.held = 0
            self._closed = self._released = True
            self._end_if_empty()

    def read(self, count: int) -> Float32[np.ndarray, " count"]:
        """The next samples, with silence in place of those that are missing."""
        result = np.zeros(count, np.float32)
        with self._lock:
            self.asked = time.monotonic()
            if not self._released or self.paused or self.ended.is_set():
                return result
            done = 0
            while done < count and self._waiting:
                first = self._waiting.popleft()
                taken = first[: count - done]
                result[done : done + len(taken)] = taken
                done += len(taken)
                if len(taken) < len(first):
                    self._waiting.appendleft(first[len(taken) :])
            self.held -= done
            self.played += done
            if done < count and not self._closed:
                self.underruns += not self._starving
                self.starved += count - done
            self._starving = done < count
            self._end_if_empty()
        return result

    def _end_if_empty(self) -> None:
        if self._closed and not self._waiting:
            self.ended.set()


class Player:
    """A device that plays a queue of samples.

    `device` is a part of a device's name, `NOWHERE`, or None for the system's own. `volume` is a
    factor of the samples.

    Raises:
        InputError: without miniaudio, without such a device, or if it cannot be opened.
    """

    def __init__(self, rate: int, *, device: str | None = None, volume: float = 1.0):
        if not 0 <= volume < math.inf:
            raise InputError(f"volume must be 0 or more, got {volume}", "volume")
        self.rate, self.queue = rate, SampleQueue()
        self.nowhere = device == NOWHERE
        self._device: Any = _opened(lambda: _device(rate, device))
        source = _source(self.queue, volume)
        next(source)
        self.queue.asked = time.monotonic()
        try:
            self._device.start(source)
        except Exception as error:
            self._device.close()
            raise _refused(error) from error

    def __enter__(self) -> "Player":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.queue.stop()
        self._device.close()

    def write(self, samples: Float32[np.ndarray, " n"]) -> None:
        """Adds samples; `queue.release` begins to play."""
        self.queue.write(samples)

    def finish(self) -> None:
        """Waits until all samples were played, or playing was stopped.

        Raises:
            Failure: if the device no longer takes samples.
        """
        self.queue.close()
        while not self.queue.ended.wait(_TICK):
            if time.monotonic() - self.queue.asked > STALLED:
                raise Failure("the audio device stopped playing")
        if not self.nowhere:
            time.sleep(2 * BUFFER)  # what the device itself still holds


def _source(
    queue: SampleQueue, volume: float
) -> Generator[Float32[np.ndarray, "n 1"] | bytes, int, None]:
    """What miniaudio calls for samples, in its own thread."""
    count = yield b""
    while True:
        samples = np.clip(volume * queue.read(count), -1, 1).astype(np.float32)
        count = yield samples[:, None]


def _opened(make: Callable[[], Any]) -> Any:
    """The result of `make`, in a thread of its own: a sound server may never answer."""
    found: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            found.append(make())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="audio device", daemon=True)
    thread.start()
    thread.join(OPENING)
    if thread.is_alive():
        raise InputError(f"the audio device does not answer within {OPENING:.0f} s")
    if errors:
        raise _refused(errors[0]) from errors[0]
    return found[0]


def _refused(error: BaseException) -> BaseException:
    if type(error).__name__ != "MiniaudioError":
        return error
    reason = " ".join(str(part) for part in error.args)
    return InputError(f"no audio device can be opened here ({reason:.100}): write a file instead")


def _miniaudio() -> ModuleType:
    try:
        return importlib.import_module("miniaudio")
    except ImportError as error:
        raise InputError(
            "playing needs miniaudio: pip install miniaudio (or the extra play)"
        ) from error


_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)


@_HANDLER
def _silent(*message: Any) -> None:
    """Takes the messages that ALSA would print on its own."""


def _quiet_alsa() -> None:
    """Keeps ALSA from writing lines of its own on standard error; our message says enough."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_silent)


def _device(rate: int, name: str | None) -> Any:
    """An open device for one channel of float32 samples."""
    audio = _miniaudio()
    _quiet_alsa()
    # Left to choose, miniaudio takes the backend that plays nothing where there is no other.
    silent = (audio.Backend.NULL, audio.Backend.CUSTOM)
    backends = [one for one in audio.Backend if one not in silent]
    chosen = None
    if name == NOWHERE:
        backends = [audio.Backend.NULL]
    elif name is not None:
        devices = audio.Devices(backends).get_playbacks()
        matching = [one for one in devices if name.lower() in one["name"].lower()]
        if len(matching) != 1:
            known = ", ".join(one["name"] for one in devices) or "none"
            what = "no audio device" if not matching else "more than one audio device"
            raise InputError(f"{what} has {name!r:.80} in its name; there are: {known:.500}")
        chosen = matching[0]["id"]
    return audio.PlaybackDevice(
        output_format=audio.SampleFormat.FLOAT32,
        nchannels=1,
        sample_rate=rate,
        buffersize_msec=round(1000 * BUFFER),
        device_id=chosen,
        backends=backends,
        app_name="indextts_jax",
    )
