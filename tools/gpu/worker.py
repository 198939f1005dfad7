"""The child process of a check: it holds the device, takes parts by name, answers with results.

    python -m tools.gpu.worker '{"platform": "cuda", "config": "published", ...}'

One line of JSON in for each part, one out. Whatever else is printed goes to standard error.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from indextts_jax.errors import InputError
from tools.gpu import correctness, speed
from tools.gpu.options import Options
from tools.gpu.outcomes import DoesNotApply, Wrong

Function = Callable[..., dict[str, Any]]


def functions(options: Options) -> dict[str, Function]:
    """What the parts are made of."""
    times = speed.Speed(options)
    return {
        "device": lambda: correctness.device(options),
        "validate": lambda *given: correctness.validate(options, *given),
        "peaks": times.peaks,
        "codes": lambda *given: times.stage("codes", *given),
        "flow": lambda *given: times.stage("flow", *given),
        "vocoder": lambda *given: times.stage("vocoder", *given),
        "profile": times.profile,
        "utterance": times.utterance,
        "batch": times.batch,
        "voice": times.voice,
    }


def answer(table: dict[str, Function], request: dict[str, Any]) -> dict[str, Any]:
    """The outcome of one part; an error is an outcome, too."""
    try:
        return {"status": "done", "result": table[request["function"]](*request["arguments"])}
    except DoesNotApply as error:
        return {"status": "does not apply", "error": str(error)}
    except Wrong as error:
        return {"status": "failed", "error": str(error), "result": error.result}
    except InputError as error:
        return {"status": "failed", "error": str(error)}
    except Exception as error:  # whatever a part raises: the others go on
        traceback.print_exc()
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def main() -> int:
    """Answers until nothing more is asked."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    table = functions(Options(**json.loads(sys.argv[1])))
    for line in sys.stdin:
        replies.write(json.dumps(answer(table, json.loads(line))) + "\n")
        replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
