"""The commands that each stage of a build still has to run, and its progress.

DST/data/<name>    prepared data, by what is in it
DST/runs/<stage>   the run of a stage
DST/models/<stage> all components after it
DST/model          the finished checkpoint: that of the last stage with emotion prototypes
"""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import yaml

from indextts_jax.checkpoint.reading import is_checkpoint
from indextts_jax.config import EMOTIONS
from indextts_jax.errors import Failure
from indextts_jax.training import weights
from indextts_jax.training.data import prototypes
from indextts_jax.training.data.rows.manifest import Reading, Source, read_manifests
from indextts_jax.training.from_scratch.description import Build, DataOptions, Stage
from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop import log
from indextts_jax.training.loop.saves import read_best, steps_in
from indextts_jax.training.recipe import load_recipe

DATA, RUNS, MODELS, MODEL = "data", "runs", "models", "model"
LABELS = "neutral.csv"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A build with its directory and manifests."""

    build: Build
    dst: Path
    manifests: Mapping[str, str]  # manifest paths by name
    scale: float = 1.0  # factor for the length of every stage
    device: str = "auto"

    @property
    def model(self) -> Path:
        """The finished checkpoint."""
        return self.dst / MODEL

    def run_of(self, stage: Stage) -> Path:
        """The directory of a stage's run."""
        return self.dst / RUNS / stage.name

    def model_after(self, stage: Stage) -> Path:
        """The checkpoint with everything trained up to and including a stage."""
        return self.dst / MODELS / stage.name

    def model_before(self, stage: Stage) -> Path | None:
        """The checkpoint that a stage starts from; None for the first."""
        place = self.build.stages.index(stage)
        return self.model_after(self.build.stages[place - 1]) if place else None

    def data_of(self, stage: Stage) -> Path:
        """The directory of a stage's prepared data, which stages with the same options share."""
        options = stage.data
        of = [f"{name}{options.weights.get(name, '')}" for name in options.of]
        own = "_own" if options.own_prompts else ""
        return self.dst / DATA / ("_".join((*of, "for", *options.recipes)) + own)

    def is_done(self, stage: Stage) -> bool:
        """Whether the model of a stage, or of a later one, exists."""
        later = self.build.stages[self.build.stages.index(stage) :]
        return any(is_checkpoint(self.model_after(one)) for one in later)

    def is_trained(self, stage: Stage) -> bool:
        """Whether a stage's run has ended."""
        ends = [line for line in log.read(self.run_of(stage)) if line["kind"] == "end"]
        if not ends or not steps_in(self.run_of(stage)):
            return False
        return not ends[-1]["asked"]  # by a signal or a deadline

    def prepare(self, stage: Stage) -> list[str]:
        """Arguments of `prepare` for a stage."""
        options, before = stage.data, self.model_before(stage)
        words = [f"--manifest={self._manifest(name, options)}" for name in options.of]
        words += [f"--for={','.join(options.recipes)}", f"--dst={self.data_of(stage)}"]
        if before is not None:
            words.append(f"--checkpoint={before}")
        else:
            words += [f"--config={self.build.model}", f"--pieces={self.build.pieces}"]
            words.append(f"--make_tokenizer={self.build.tokenizer}")
        if options.own_prompts:
            words.append("--own_prompts")
        if options.validation is not None:
            words.append(f"--validation={options.validation}")
        return [*words, f"--device={self.device}"]

    def train(self, stage: Stage, seconds: float | None) -> list[str]:
        """Arguments of `train` for a stage, with a time limit in seconds."""
        run, before = self.run_of(stage), self.model_before(stage)
        words = [f"--dst={run}", f"--data={self.data_of(stage)}", f"--device={self.device}"]
        if before is not None:
            words.append(f"--checkpoint={before}")
        if seconds is not None:
            words.append(f"--stop_after={max(seconds, 1):.0f}s")
        if folders.is_run(run):
            words.append("--resume")
            if not steps_in(run) and (run / weights.FILE).is_file():
                words.append("--weights_only")
            return words
        changes = dict(stage.changes) | self._shortened(stage)
        words += [f"--set={key}={_yaml(value)}" for key, value in changes.items()]
        return [*words, f"--recipe={stage.recipe}"]

    def export(self, stage: Stage) -> list[str]:
        """Arguments of `export` for a stage; the last model includes the build's settings."""
        words = [
            f"--run={self.run_of(stage)}",
            "--to=checkpoint",
            f"--dst={self.model_after(stage)}",
            f"--dtype={self.build.dtype}",
        ]
        if stage is self.build.stages[-1] and self.build.settings:
            path = self.dst / "settings.yaml"
            path.write_text(yaml.safe_dump(self.build.settings), encoding="utf-8")
            words.append(f"--settings={path}")
        return words

    def finish(self) -> list[str]:
        """Arguments of `prepare` that write the finished checkpoint.

        Raises:
            InputError: for a manifest that cannot be read.
        """
        neutral = self.build.neutral
        source = Source.parse(self.manifests[neutral.of])
        clips = read_manifests([source], Reading())[: neutral.clips]
        path = self.dst / LABELS
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(prototypes.COLUMNS)
            # A single speaker, so each emotion has one row, which every voice uses.
            paths = [clip.recording.path.absolute() for clip in clips]
            rows.writerows((audio, name, "all") for name in EMOTIONS for audio in paths)
        last = self.model_after(self.build.stages[-1])
        words = [f"--prototypes={path}", f"--checkpoint={last}", f"--dst={self.model}"]
        return [*words, f"--device={self.device}"]

    def check_bars(self, stage: Stage) -> dict[str, float]:
        """Checks the figures of a stage's best evaluation against its limits.

        Raises:
            Failure: if one is missing or above its limit.
        """
        run = self.run_of(stage)
        best = read_best(run).best
        lines = [line for line in log.read(run) if line["kind"] == "evaluation"]
        found = [line for line in lines if line["step"] == best]
        figures = found[-1] if found else {}
        problems = []
        for name, most in stage.bars.items():
            value = figures.get(name)
            if not isinstance(value, int | float) or value > most:
                problems.append(f"{name} is {value}, expected at most {most}")
        if problems:
            raise Failure(
                f"{stage.name}, step {best}: {'; '.join(problems)}; later stages cannot "
                "correct this: train longer or on more speech, or use --ignore_bars to continue"
            )
        return {name: float(figures[name]) for name in stage.bars}

    def _manifest(self, name: str, options: DataOptions) -> str:
        """A manifest as `prepare` takes it, with its weight."""
        given = self.manifests[name]
        if name not in options.weights:
            return given
        source = Source.parse(given)
        return f"{source.path}@{source.weight * options.weights[name]:g}"

    def _shortened(self, stage: Stage) -> dict[str, float | int]:
        """The length of a stage's recipe times `scale`."""
        if self.scale == 1:
            return {}
        given = {key: str(value) for key, value in stage.changes.items()}
        recipe = load_recipe(stage.recipe, given)
        if recipe.steps:
            return {"steps": max(1, round(recipe.steps * self.scale))}
        return {"epochs": recipe.epochs * self.scale}


def _yaml(value: object) -> str:
    return "null" if value is None else str(value)
