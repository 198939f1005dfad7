"""Loads a running server with streams, and reports what listeners get; the last line is JSON.

    python -m benchmarks.serve --address http://127.0.0.1:8000 --voice anna
    python -m benchmarks.serve --address http://127.0.0.1:8000 --voice demo --streams 1,4,8

For each number of streams at once: first audio (50th, 95th and 99th percentile), the share of
streams in which playing stopped, and seconds of audio for a second. Then the time from a disconnect
to a free slot.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks import record
from indextts_jax.engine.streaming.listener import Listener

RATE = 24_000  # Hz, of PCM
TEXT = (
    "Good morning. It is a quarter past seven, and the first train has just left. There will be "
    "another in ten minutes, so there is time for a cup of coffee."
)


async def listen(client: httpx.AsyncClient, body: dict[str, Any]) -> Listener:
    """Plays one stream as it comes."""
    listener = Listener(time.monotonic())
    async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {(await answer.aread()).decode()}")
        listener.prebuffer = float(answer.headers["x-prebuffer-seconds"])
        async for data in answer.aiter_raw():
            listener.hear(time.monotonic(), len(data) / 2 / RATE)
    return listener


async def level(
    client: httpx.AsyncClient, body: dict[str, Any], streams: int, rounds: int
) -> dict[str, Any]:
    """Many rounds of streams at once."""
    begin, found = time.monotonic(), list[Listener]()
    for _ in range(rounds):
        found += await asyncio.gather(*(listen(client, body) for _ in range(streams)))
    spent = time.monotonic() - begin
    firsts = sorted(one.first or 0.0 for one in found)
    audio = sum(one.ends - one.begin - (one.first or 0.0) - sum(one.gaps) for one in found)
    return {
        "streams": streams,
        "requests": len(found),
        "first_p50": percentile(firsts, 50),
        "first_p95": percentile(firsts, 95),
        "first_p99": percentile(firsts, 99),
        "underrun_share": sum(bool(one.gaps) for one in found) / len(found),
        "audio_per_second": audio / spent,
    }


def percentile(ordered: Sequence[float], share: int) -> float:
    """The nearest value of a sorted list."""
    return ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))]


async def until_free(client: httpx.AsyncClient, body: dict[str, Any]) -> float:
    """Seconds from a disconnect to a free slot, by `/metrics`."""
    task = asyncio.ensure_future(listen(client, body))
    while await slots(client) == 0:
        await asyncio.sleep(0.005)
    task.cancel()
    begin = time.monotonic()
    await asyncio.gather(task, return_exceptions=True)
    while await slots(client):
        await asyncio.sleep(0.002)
    return time.monotonic() - begin


async def slots(client: httpx.AsyncClient) -> int:
    """Slots in use."""
    page = (await client.get("/metrics")).text
    (found,) = re.findall(r"^indextts_slots_used (\S+)$", page, re.MULTILINE)
    return int(float(found))


async def measured(given: Any) -> dict[str, Any]:
    """All levels, and the time to a free slot."""
    body = {"input": TEXT, "voice": given.voice, "response_format": "pcm", "seed": 1}
    headers = {"authorization": f"Bearer {given.key}"} if given.key else {}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=given.address, timeout=600, headers=headers, limits=limits
    ) as client:
        await listen(client, body)  # what is compiled at first
        counts = [int(word) for word in given.streams.split(",")]
        levels = [await level(client, body, count, given.rounds) for count in counts]
        free = [await until_free(client, body) for _ in range(given.rounds)]
        about = (await client.get("/v1/about")).json()
    return {
        **record.head("serve", about["device"]),
        "weights": f"{about['release']}, {about['weights']}",
        "rounds": given.rounds,
        "levels": levels,
        "until_free_p50": statistics.median(free),
        "until_free": max(free),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--voice", required=True)
    parser.add_argument("--streams", default="1,4,8,16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--key", default="")
    found = asyncio.run(measured(parser.parse_args(argv)))
    print("streams  requests  first audio p50/p95/p99 (s)  underruns  audio per second")
    for one in found["levels"]:
        firsts = " / ".join(f"{one[f'first_p{share}']:.3f}" for share in (50, 95, 99))
        print(
            f"{one['streams']:7}  {one['requests']:8}  {firsts:>27}  "
            f"{one['underrun_share']:9.0%}  {one['audio_per_second']:16.2f}"
        )
    free = found["until_free"], found["until_free_p50"]
    print(f"from a disconnect to a free slot: median {free[1]:.3f} s, at most {free[0]:.3f} s")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
