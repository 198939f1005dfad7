"""Dry run: what trains, memory of the compiled steps, measured step times, hours."""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import jax

from indextts_jax.training.loop.batches import Chosen, collate
from indextts_jax.training.loop.session import Session
from indextts_jax.training.loop.state import State
from indextts_jax.utils.text_table import table

TIMED = 3  # timed steps
LOOKED_AT = 50  # steps, to estimate the share of each bucket


@dataclasses.dataclass(frozen=True)
class StepCost:
    """The cost of one bucket's step."""

    seconds: float  # padded length of rows
    rows: int
    compiling: float  # seconds
    step: float  # seconds; median of the timed steps
    arguments: int  # bytes per device: state, frozen parameters and batch
    scratch: int  # further bytes per device
    share: float  # share of the run's steps


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The estimate of a run; `str` gives it as tables."""

    trains: dict[str, int]  # trained parameters by component
    frozen: int
    steps: int
    epochs: float
    costs: tuple[StepCost, ...]
    save: int  # bytes per save
    saves: int  # number of saves on disk at once
    free: int  # free bytes on the disk

    @property
    def hours(self) -> float:
        """Hours for steps and compiling, without evaluations."""
        steps = sum(cost.share * cost.step for cost in self.costs) * self.steps
        return (steps + sum(cost.compiling for cost in self.costs)) / 3600

    @property
    def fits_on_disk(self) -> bool:
        """Whether the saves fit on the disk."""
        return self.save * self.saves < self.free

    def __str__(self) -> str:
        """Tables of trained parameters and steps by bucket, and the totals."""
        rows = [[name, f"{count:,}"] for name, count in self.trains.items()]
        rows.append(["frozen", f"{self.frozen:,}"])
        steps = [
            [
                f"{cost.seconds:g} s",
                cost.rows,
                f"{cost.share:.0%}",
                f"{cost.compiling:.1f} s",
                f"{cost.step:.3f} s",
                f"{(cost.arguments + cost.scratch) / 1e9:.2f} GB",
            ]
            for cost in self.costs
        ]
        header = ("bucket", "rows", "of the steps", "compiling", "a step", "memory")
        disk = f"{self.saves} saves of {self.save / 1e9:.2f} GB, {self.free / 1e9:.1f} GB free"
        return "\n\n".join(
            [
                table(("trains", "parameters"), rows),
                table(header, steps),
                f"{self.steps} steps, {self.epochs:.1f} epochs: about {self.hours:.2f} hours, "
                f"without evaluations\ndisk: {disk}"
                + ("" if self.fits_on_disk else ": too little"),
            ]
        )


def estimate(session: Session, folder: Path) -> Estimate:
    """Compiles and times the step of each bucket.

    The session's state is donated, as in a run, because two might not fit into memory.
    """
    setup, recipe = session.setup, session.recipe
    looked = min(recipe.steps, LOOKED_AT)
    chosen = [session.batches.at(step) for step in range(looked)]
    first: dict[float, tuple[int, Chosen]] = {}
    for step, batch in enumerate(chosen):
        first.setdefault(batch.seconds, (step, batch))
    size, counts = sum(leaf.nbytes for leaf in jax.tree.leaves(setup.state)), setup.counts()
    costs: list[StepCost] = []
    state = setup.state
    for seconds, (step, batch) in sorted(first.items()):
        share = sum(c.seconds == seconds for c in chosen) / looked
        cost, state = _cost(session, state, step, batch, share)
        costs.append(cost)
    saves = recipe.saves
    kept = saves.best + saves.last + 1
    if saves.keep_every is not None:
        kept += recipe.steps // saves.keep_every
    existing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    return Estimate(
        trains=counts,
        frozen=sum(leaf.size for leaf in setup.frozen.values()),
        steps=recipe.steps,
        epochs=recipe.steps / session.batches.steps_of(1),
        costs=tuple(costs),
        save=size,
        saves=kept,
        free=shutil.disk_usage(existing).free,
    )


def _cost(
    session: Session, state: State, step: int, chosen: Chosen, share: float
) -> tuple[StepCost, State]:
    """The cost of a step, and the state after the timed steps."""
    setup, recipe = session.setup, session.recipe
    arrays = collate(setup.objective, session.data, chosen, recipe, step)
    batch = setup.placement.put_batch(arrays)
    began = time.perf_counter()
    lowered = jax.jit(setup.stepper, donate_argnums=(0,)).lower(state, setup.frozen, batch)
    program: Any = lowered.compile()
    compiling = time.perf_counter() - began
    memory = program.memory_analysis()
    took = []
    for _ in range(TIMED):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, setup.frozen, batch))
        took.append(time.perf_counter() - began)
    cost = StepCost(
        seconds=chosen.seconds,
        rows=len(chosen.rows),
        compiling=compiling,
        step=sorted(took)[len(took) // 2],
        arguments=getattr(memory, "argument_size_in_bytes", 0),
        scratch=getattr(memory, "temp_size_in_bytes", 0),
        share=share,
    )
    return cost, state
