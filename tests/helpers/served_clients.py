"""Clients of a server: a conversation over a WebSocket, and a server in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

SPEECH = {"model": "tts-1", "voice": "anna", "input": "Hello world."}
ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "helpers")))
LONG = " [pause 0.1s] ".join(["A dog barks."] * 5)


def talk(address: str, *messages: Any, config: Any = SPEECH) -> tuple[list[Any], list[bytes]]:
    """Sends messages after a configuration; returns what came: objects, and bytes."""
    found, data = [], []
    own = {name: value for name, value in config.items() if name != "input"}
    url = f"{address.replace('http', 'ws', 1)}/v1/audio/speech/stream"
    with connect(url) as socket:
        for message in ({"type": "session.config", "response_format": "pcm", **own}, *messages):
            socket.send(message if isinstance(message, str) else json.dumps(message))
        for message in socket:
            if isinstance(message, bytes):
                data.append(message)
            else:
                found.append(json.loads(message))
                if found[-1]["type"] in ("session.done", "error", "audio.cancelled"):
                    with contextlib.suppress(ConnectionClosedOK):  # it was closed before
                        socket.send(json.dumps({"type": "session.close"}))
    return found, data


def start(*arguments: str, **more: str) -> "tuple[subprocess.Popen[str], str]":
    """A server in a process of its own, and its address, when it takes requests."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": PATH} | more,
        cwd=ROOT,
    )
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if "Listening on " in line:
            address = line.split("Listening on ")[1].strip()
            break
    assert address, process.communicate()
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/ready").status_code == 200:
                return process, address
        except httpx.TransportError:
            assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())
