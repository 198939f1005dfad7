"""The voices that requests may name: those saved on disk, and built-in ones.

A name from a request is only ever compared with the names that exist. It becomes a path in one
place, where a voice is added, after it was checked.
"""

import asyncio
import collections
import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

from indextts_jax.audio.io import MIN_SECONDS
from indextts_jax.audio.quality import excerpt_of
from indextts_jax.audio.recording import opened
from indextts_jax.engine.live.engine import LiveEngine
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.errors import InputError
from indextts_jax.server.options import ServerOptions
from indextts_jax.server.problems import ApiError
from indextts_jax.voices import store
from indextts_jax.voices.analysis import Voice, analyse_voice

HELD = 64  # voices in memory
SAMPLE_BYTES = 4  # of a decoded sample


@dataclasses.dataclass(frozen=True)
class VoiceInfo:
    """A voice as it is listed."""

    id: str
    created: str | None  # None for built-in ones
    seconds: float

    def data(self) -> dict[str, object]:
        return {
            "id": self.id,
            "name": self.id,
            "created": self.created,
            "seconds": round(self.seconds, 2),
        }


class VoiceLibrary:
    """Lists, loads, adds and deletes voices."""

    def __init__(
        self,
        tts: IndexTTS,
        engine: LiveEngine,
        options: ServerOptions,
        built_in: Mapping[str, Voice],
    ):
        self.tts, self.engine, self.options = tts, engine, options
        self.built_in = dict(built_in)
        self._held: collections.OrderedDict[tuple[str, int], Voice] = collections.OrderedDict()
        self._records: dict[tuple[str, int], VoiceInfo | None] = {}
        self._adding = asyncio.Lock()

    def names(self) -> list[str]:
        """The names of all voices that this model can speak with."""
        return [voice.id for voice in self.infos()]

    def infos(self) -> list[VoiceInfo]:
        """All voices that this model can speak with, built-in ones first."""
        mel = self.tts.model.config.mel
        found = [
            VoiceInfo(name, None, voice.frames * mel.hop / mel.sample_rate)
            for name, voice in self.built_in.items()
        ]
        saved = (self._info(name) for name in store.names() if name not in self.built_in)
        return found + [info for info in saved if info is not None]

    def _info(self, name: str) -> VoiceInfo | None:
        """A saved voice; None if it belongs to another checkpoint, or is damaged."""
        try:
            key = (name, _path(name).stat().st_mtime_ns)
        except OSError:  # deleted meanwhile
            return None
        if key not in self._records:
            try:
                record = store.read_record(_path(name))
                fits = self._fingerprint() == record.checkpoint
                info = VoiceInfo(name, record.created, record.heard) if fits else None
            except InputError:
                info = None
            self._records[key] = info
        return self._records[key]

    def _fingerprint(self) -> str | None:
        try:
            return store.fingerprint(self.tts.model)
        except InputError:  # random weights
            return None

    async def voice(self, requested: str) -> tuple[str, Voice]:
        """The name of a voice after aliases, and the voice, loaded once.

        Raises:
            ApiError: 400 for a name that does not exist, with the names that do; 409 for a voice of
                another checkpoint, or a damaged one.
        """
        name = dict(self.options.voice_names).get(requested, requested)
        if name in self.built_in:
            return name, self.built_in[name]
        if name not in await asyncio.to_thread(store.names):
            known = ", ".join(await asyncio.to_thread(self.names)) or "none yet"
            raise ApiError(400, f"voice {requested!r:.80} does not exist; voices: {known}", "voice")
        try:
            key = (name, _path(name).stat().st_mtime_ns)
        except OSError:
            raise ApiError(400, f"voice {name!r} does not exist any more", "voice") from None
        if key in self._held:
            self._held.move_to_end(key)
            return name, self._held[key]
        if await asyncio.to_thread(self._info, name) is None:
            raise ApiError(
                409,
                f"voice {name!r} belongs to another checkpoint, or is damaged: make it again",
                "voice",
            )
        path, model = _path(name), self.tts.model
        loading = self.engine.call(lambda: store.load_voice(model, path))
        voice = await asyncio.wrap_future(loading)
        self._held[key] = voice
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        return name, voice

    async def add(self, name: str, data: bytes) -> tuple[VoiceInfo, tuple[str, ...]]:
        """Analyses a recording and saves it as a voice; returns warnings about the recording.

        Raises:
            ApiError: for a name that is taken or not valid, too many voices, a recording that
                cannot be used.
        """
        if not self.options.uploads or self._fingerprint() is None:
            raise ApiError(403, "this server does not take recordings", code="uploads_disabled")
        path = checked_path(name)
        async with self._adding:  # so that two of one name, or one too many, are noticed
            known = await asyncio.to_thread(store.names)
            if name in known or name in self.built_in:
                raise ApiError(409, f"voice {name!r} exists: delete it first", "name")
            if len(known) >= self.options.voices:
                raise ApiError(409, f"there are {len(known)} voices, the most allowed", "name")
            with tempfile.TemporaryDirectory(prefix="indextts_upload_") as folder:
                recording = Path(folder) / "audio_sample"
                await asyncio.to_thread(recording.write_bytes, data)
                try:
                    warnings = await asyncio.to_thread(self._looked_at, recording)
                    made = self.engine.call(lambda: self._analysed(recording, path))
                    record = await asyncio.wrap_future(made)
                except InputError as error:
                    raise ApiError(400, _without(recording, str(error)), "audio_sample") from error
                if self.options.keep_recordings is not None:
                    kept = self.options.keep_recordings / name
                    await asyncio.to_thread(kept.write_bytes, data)
        shown = tuple(_without(recording, line) for line in warnings)
        return VoiceInfo(name, record.created, record.heard), shown

    def _looked_at(self, recording: Path) -> tuple[str, ...]:
        """Warnings about a recording, after its size was checked."""
        seconds = self.tts.model.config.limits.prompt_seconds
        with opened(recording) as file:
            size = file.sample_rate * file.channels * max(seconds, MIN_SECONDS) * SAMPLE_BYTES
        if size > self.options.recording_bytes:
            raise InputError(
                f"{recording} has {file.channels} channels at {file.sample_rate:,} Hz: "
                f"{seconds:g} s of it are more than {self.options.recording_bytes:,} bytes"
            )
        return excerpt_of(recording, seconds=seconds).warnings

    def _analysed(self, recording: Path, path: Path) -> store.VoiceRecord:
        voice = analyse_voice(self.tts.model, recording)
        return store.save_voice(self.tts.model, voice, path)

    def delete(self, name: str) -> None:
        """Deletes a saved voice.

        Raises:
            ApiError: 404 for a name that does not exist, 403 for a built-in voice.
        """
        if name in self.built_in:
            raise ApiError(403, f"voice {name!r} is built in")
        if name not in store.names():
            raise ApiError(404, f"voice {name!r:.80} does not exist", code="voice_not_found")
        try:
            store.check_voice(_path(name))
            _path(name).unlink()
        except (InputError, OSError) as error:
            raise ApiError(409, f"voice {name!r} cannot be deleted") from error
        for key in [key for key in self._held if key[0] == name]:
            del self._held[key]
        if self.options.keep_recordings is not None:
            (self.options.keep_recordings / name).unlink(missing_ok=True)


def _path(name: str) -> Path:
    """The file of a voice whose name is in `store.names`."""
    return store.directory() / f"{name}{store.ENDING}"


def checked_path(name: str) -> Path:
    """The file of a new voice.

    Raises:
        ApiError: for a name that could mean anything but a file in the directory of voices.
    """
    try:
        path = store.voice_path(name)
    except (InputError, ValueError):
        path = None
    if path is None or name.endswith(store.ENDING) or path.name != f"{name}{store.ENDING}":
        raise ApiError(
            400,
            "a name has letters, digits, spaces, '.', '-' and '_', begins with a letter or digit, "
            "and has at most 100 characters",
            "name",
        )
    return path


def _without(path: Path, message: str) -> str:
    """A message without the place of a temporary file."""
    return message.replace(str(path), "audio_sample")
