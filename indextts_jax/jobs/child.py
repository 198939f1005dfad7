"""The process that speaks packs: `python -m indextts_jax.jobs.child`, started by `worker.py`.

It reads one JSON line for each order from standard input and answers on standard output. It ends
when its input does, so that no worker outlives the process that started it, however that ended.
"""

import importlib
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs.work import Broken, Speaker, Work, speak_pack

SPEAKER = "indextts_jax.jobs.speaking:ModelSpeaker"
BROKEN = 70  # exit code of a process whose device does not work


def _reader(orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Passes orders on; ends the process when no more can come."""
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


class _Child:
    def __init__(self, spec: dict[str, Any], answers: Any):
        self.spec, self.answers = spec, answers
        self.work: Work | None = None
        self.speaker: Speaker | None = None
        self.lock = threading.Lock()

    def say(self, event: str, **data: Any) -> None:
        with self.lock:
            self.answers.write(json.dumps({"event": event, **data}) + "\n")
            self.answers.flush()

    def speaker_of(self) -> Speaker:
        """The speaker, loaded when the first row needs it."""
        if self.speaker is None:
            assert self.work is not None
            module, _, name = self.spec["speaker"].partition(":")
            factory = getattr(importlib.import_module(module), name)
            self.speaker = factory(self.work.plan, **self.spec["options"])
        return self.speaker

    def obey(self, order: dict[str, Any]) -> None:
        if self.work is None:
            self.work = Work.open(self.spec["output"])
        alone = order.get("alone")
        speak_pack(
            self.work,
            order["pack"],
            self.speaker_of,
            token=self.spec["token"],
            batch=self.spec["options"].get("batch", 1),
            alone=None if alone is None else Path(alone),
            killed=order.get("killed", ()),
            notify=lambda event, place: self.say(event, place=place),
        )
        self.say("done", pack=order["pack"])


def main() -> None:
    """Obeys orders until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not get among the answers
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    child = _Child(json.loads(sys.stdin.readline()), answers)
    threading.Thread(target=_reader, args=(orders,), daemon=True).start()
    while True:
        order = orders.get()
        try:
            child.obey(order)
        except Broken as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            os._exit(BROKEN)
        except InputError as error:
            child.say("error", kind="input", message=str(error))
        except Failure as error:
            child.say("error", kind="failure", message=str(error))
        except Exception as error:
            words = " ".join(f"{type(error).__name__}: {error}".split())
            child.say("error", kind="failure", message=words[:500])


if __name__ == "__main__":
    main()
