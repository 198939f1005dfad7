"""The Ray engine: an actor pool of Ray Data whose rows are numbers of packs.

Ray places, restarts and adds workers, and limits what is in flight. Packs, keys, commit, retries
and statuses are ours: an actor is a `Worker`, and only summaries of packs go through Ray, never
audio.
"""

import contextlib
import dataclasses
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from indextts_jax.errors import Failure, InputError
from indextts_jax.jobs.deadline import SKIPPED, Deadline
from indextts_jax.jobs.plan import Pack
from indextts_jax.jobs.worker import Spec, Worker

# Packs in one execution of Ray Data: each one starts its actors, and so loads the model, anew.
log = logging.getLogger(__name__)

ROUND = 20_000
TRIES = 3  # executions of Ray Data that fail without a finished pack
INIT_DEATHS = 10
POLL = 0.5  # seconds between two looks at the clock
INSTALL = 'the engine ray needs Ray: pip install "indextts-jax[ray]"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where workers run, and what each of them takes."""

    address: str | None = None  # of a running cluster; None: a local one for this run
    workers: tuple[int, int] = (1, 1)  # least and most
    cpus: float = 1.0  # of each worker
    gpus: float = 0.0
    tpus: float = 0.0


class PackActor:
    """An actor that speaks packs. It never raises, so that Ray repeats only what died."""

    def __init__(self, spec: dict[str, Any], deadline: float | None):
        self.worker = Worker(Spec(**spec))
        self.deadline = Deadline(deadline)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The summary of a pack, or what went wrong, as JSON."""
        pack, seconds = int(row["pack"]), float(row["seconds"])
        if not self.deadline.allows(seconds):
            return {"made": json.dumps({"pack": pack, SKIPPED: True})}
        began = time.time()
        try:
            made: dict[str, Any] = self.worker.run(pack)
        except InputError as error:
            made = {"error": str(error), "kind": "input"}
        except Exception as error:
            made = {"error": str(error) or type(error).__name__, "kind": "failure"}
        self.deadline.note(seconds, time.time() - began)
        return {"made": json.dumps(made)}


def speak_on_ray(
    packs: Sequence[Pack], spec: Spec, cluster: Cluster, deadline: Deadline
) -> Iterator[dict[str, Any]]:
    """Yields the summary of each pack as it is finished.

    Raises:
        InputError: if Ray is not installed or cannot be reached, or the input has changed.
        Failure: if a pack cannot be spoken or written, or Ray gives up.
    """
    # By default Ray reports its use over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
        from ray.exceptions import RayError
    except ImportError as error:
        raise InputError(INSTALL) from error
    try:
        ray.init(
            # Without an address Ray would join whatever cluster it finds on this machine.
            address=cluster.address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=None if cluster.address else False,
            ignore_reinit_error=True,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        words = " ".join(f"{error}: {error.__cause__ or ''}".strip(": ").split())
        raise InputError(f"ray_address {cluster.address}: {words:.500}", "ray_address") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # An actor that dies as it starts, with its machine, must not end the run.
    context.max_consecutive_actor_init_deaths = INIT_DEATHS
    waiting, failures = list(packs), 0
    try:
        while waiting and not deadline.passed():
            finished: set[int] = set()
            try:
                for made in _round(ray, waiting[:ROUND], spec, cluster, deadline):
                    finished.add(made["pack"])
                    yield made
            except RayError as error:
                # What is done stays done, so the rest may simply be given to Ray again.
                failures = 0 if finished else failures + 1
                if failures >= TRIES:
                    words = " ".join(str(error).split())
                    raise Failure(f"Ray has given up: {words:.500}") from error
            waiting = [pack for pack in waiting if pack.number not in finished]
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


def _round(
    ray: Any, packs: Sequence[Pack], spec: Spec, cluster: Cluster, deadline: Deadline
) -> Iterator[dict[str, Any]]:
    least, most = cluster.workers
    rows = [{"pack": pack.number, "seconds": pack.seconds} for pack in packs]
    resources = {"TPU": cluster.tpus} if cluster.tpus else None
    # A block for each pack: it is the unit that Ray hands to an actor and repeats.
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        PackActor,
        fn_constructor_kwargs={"spec": dataclasses.asdict(spec), "deadline": deadline.at},
        compute=ray.data.ActorPoolStrategy(
            min_size=min(least, len(rows)),
            max_size=min(most, len(rows)),
            max_tasks_in_flight_per_actor=2,
        ),
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus or None,
        resources=resources,
    )
    answers: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()

    def follow() -> None:
        try:
            for row in made.iter_rows():
                answers.put(json.loads(row["made"]))
            answers.put(None)
        except BaseException as error:
            answers.put(error)

    # In a thread, so that neither the deadline nor a signal waits for Ray.
    threading.Thread(target=follow, daemon=True).start()
    while not deadline.passed():
        try:
            answer = answers.get(timeout=POLL)
        except queue.Empty:
            continue
        if answer is None:
            log.debug("%s", made.stats())
            return
        if isinstance(answer, BaseException):
            raise answer
        if "error" in answer:
            kind = InputError if answer["kind"] == "input" else Failure
            raise kind(answer["error"])
        yield answer
