"""Times and memory of the stages, of a whole utterance and of continuous batching.

The weights are random numbers made on the device, and the stop code is never chosen: time does not
depend on values, and the number of codes is what was asked for.
"""

import dataclasses
import functools
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measurements, models, record, roofline, slots
from benchmarks.workers import ours
from benchmarks.workload import CODES_PER_SECOND, PROMPT_STAGES, Work, inputs
from indextts_jax.engine import acoustic, decoding, seeds
from indextts_jax.runtime import devices
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.precision import check_kernels
from indextts_jax.utils.stopwatch import Clock
from tools.gpu import step_profile
from tools.gpu.correctness import open_device
from tools.gpu.options import Options
from tools.gpu.outcomes import DoesNotApply, Wrong

SPEAKING = ("gpt", "semantic_codec", "length_regulator", "dit", "vocoder")
ANALYSIS = ("semantic_encoder", "semantic_codec", "style_encoder", "conditioning")


class Speed:
    """The parts that measure; weights and compiled programs stay from one to the next."""

    def __init__(self, options: Options):
        self.options = options
        self.made: dict[tuple[str, str], np.ndarray] = {}  # results by stage and form, to compare

    @functools.cached_property
    def device(self) -> jax.Device:
        """The device of all parts, which becomes the default one."""
        chosen = open_device(self.options)
        jax.config.update("jax_default_device", chosen)
        return chosen

    @functools.cached_property
    def compilations(self) -> measurements.Compilations:
        """What the compiler takes."""
        return measurements.Compilations()

    @functools.cache  # noqa: B019  (the worker has one, to its end)
    def random(self, dtype: str, analysis: bool = False) -> Model:
        """Weights of all that speaks, or of all that analyses a prompt."""
        _ = self.device
        names = ANALYSIS if analysis else SPEAKING
        model = models.random_model(self.options.config, dtype, components=names)
        jax.block_until_ready(model.params)
        return model if analysis else models.without_stop(model)

    def model(self, dtype: str, form: str) -> tuple[Model, float]:
        """The model, and the seconds that making its weights took."""
        start = time.perf_counter()
        model = self.random(dtype)
        if form == "fused":
            if (lack := devices.lacks_kernels(self.device)) is not None:
                raise DoesNotApply(f"fused attention needs {lack}")
            check_kernels(model.config, self.device)
            model = dataclasses.replace(
                model, run=dataclasses.replace(model.run, fused_attention=True)
            )
        return model, time.perf_counter() - start

    def work(self, codes: int) -> Work:
        """The lengths of one utterance."""
        asked = self.options
        return Work(
            prompt=asked.prompt, tokens=asked.tokens, codes=codes, steps=asked.steps, sample=True
        )

    @functools.cache  # noqa: B019
    def peak(self, dtype: str) -> roofline.Peak:
        """What the device does at most, measured as it is first asked for."""
        _ = self.device
        return roofline.measure(dtype)

    def peaks(self, dtype: str) -> dict[str, Any]:
        """Bandwidth (bytes a second) and matrix peak (operations a second), as measured."""
        return vars(self.peak(dtype))

    def stage(self, name: str, dtype: str, form: str) -> dict[str, Any]:
        """Codes of one window, or flow or vocoder of the whole utterance's length."""
        model, weights = self.model(dtype, form)
        work = self.work(self.options.codes if name == "codes" else self.options.utterance)
        run = ours.call(name, model, work, inputs(name, work, ours.sizes(model.config)))
        times, found = measurements.timed(
            lambda: jax.block_until_ready(run()), self.options.repeats, self.compilations
        )
        (array,) = found.values()
        result = {
            "weights_seconds": weights,
            **times,
            **self.against_floor(times["median"], model, work, name),
            **self.memory(),
        }
        if name == "codes":
            result["seconds_per_code"] = times["median"] / work.codes
            return result
        result["real_time_factor"] = times["median"] / work.seconds
        return result | self.compared(name, f"{dtype} {form}", np.asarray(array, np.float32))

    def compared(self, name: str, form: str, array: np.ndarray) -> dict[str, Any]:
        """RMS differences from what other forms made of the same numbers, over the RMS."""
        others = {f: a for (stage, f), a in self.made.items() if stage == name}
        self.made[name, form] = array
        if not np.isfinite(array).all():
            share = float(np.mean(~np.isfinite(array)))
            raise Wrong(f"{share:.2%} of the numbers are not finite", {})
        return {
            "differences": {
                other: float(np.sqrt(np.mean((array - a) ** 2) / np.mean(a**2)))
                for other, a in others.items()
            }
        }

    def against_floor(
        self, seconds: float, model: Model, work: Work, *names: str, rows: int = 1
    ) -> dict[str, float]:
        """The least that these stages (or all) take by the measured peaks, and the ratio to it."""
        dtypes = {model.run.compute_dtype(name) for name in ("gpt", "dit", "vocoder")}
        peaks = {dtype: self.peak(dtype) for dtype in dtypes}
        request = measurements.Request(
            characters=0, text="", prompt=work.prompt, steps=work.steps, beams=work.beams, rows=rows
        )
        least = measurements.floors(
            model.config, model.run, request, work.tokens, work.codes, peaks
        )
        floor = sum(least[name] for name in names or least)
        return {"floor": floor, "over_floor": seconds / floor}

    def memory(self) -> dict[str, Any]:
        """Bytes now and at most so far in this process, on the device and of the process."""
        stats = self.device.memory_stats() or {}
        names = ("bytes_in_use", "peak_bytes_in_use")
        process = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"memory": {"process": process, **{n: stats[n] for n in names if n in stats}}}

    def speech(self, model: Model, work: Work) -> Callable[[], tuple[np.ndarray, Clock]]:
        """A whole utterance from text tokens to samples, the voice known."""
        sizes = ours.sizes(model.config)
        given = inputs("flow", work, sizes) | inputs("codes", work, sizes)
        voice = ours.voice_of(work, given, model.buckets.frames)
        line = acoustic.Line(given["text"][0].tolist(), voice, jnp.asarray(given["emotion"]))
        settings = ours.settings_of(work)
        sampling = settings.sampling_up_to(work.codes)
        chooses, draws = seeds.segment_keys(work.seed, 0)

        def run() -> tuple[np.ndarray, Clock]:
            clock = Clock()
            with clock.stage("codes"):
                ids, _ = decoding.search_line(model, line, sampling, chooses)
            row = acoustic.SynthesisRow(line, ids, work.frames, draws)
            (wave,) = acoustic.synthesize(model, [row], settings, clock)
            return wave, clock

        return run

    def utterance(self, dtype: str, form: str) -> dict[str, Any]:
        """10 s of speech: codes, latents, flow and vocoder."""
        model, weights = self.model(dtype, form)
        work = self.work(self.options.utterance)
        run, spent = self.speech(model, work), []

        def once() -> np.ndarray:
            wave, clock = run()
            spent.append(clock.seconds)
            return wave

        times, wave = measurements.timed(once, self.options.repeats, self.compilations)
        result = {
            "weights_seconds": weights,
            "audio": work.seconds,
            **times,
            "real_time_factor": times["median"] / work.seconds,
            "stages": {
                name: record.summary([one[name] for one in spent[1:]])["median"]
                for name in spent[0]
            },
            **self.against_floor(times["median"], model, work),
            **self.memory(),
        }
        if not np.isfinite(wave).all():
            raise Wrong("the waveform is not finite", result)
        return result

    def batch(self, dtype: str, form: str, rows: int) -> dict[str, Any]:
        """Codes a second of the decoding loop, all its slots taken to the end."""
        model, weights = self.model(dtype, form)
        work = self.work(self.options.codes)
        decode = slots.rounds(model, [rows], beams=work.beams, codes=work.codes, text=work.tokens)
        before, start = self.compilations.seconds, time.perf_counter()
        decode(rows)
        first = time.perf_counter() - start
        compiling = self.compilations.seconds - before
        rounds = [decode(rows) for _ in range(self.options.repeats)]
        times = record.summary([seconds for _, seconds in rounds])
        count = rounds[0][0]
        return {
            "weights_seconds": weights,
            "first": first,
            "compile": compiling,
            **times,
            "codes": count,
            "codes_per_second": count / times["median"],
            "times_real_time": count / times["median"] / CODES_PER_SECOND,
            **self.against_floor(times["median"], model, work, "codes", rows=rows),
            **self.memory(),
        }

    def voice(self, dtype: str, form: str) -> dict[str, Any]:
        """The stages that analyse a new prompt, one by one."""
        model, work = self.random(dtype, analysis=True), self.work(self.options.codes)
        found: dict[str, Any] = {}
        for name in PROMPT_STAGES:
            run = ours.call(name, model, work, inputs(name, work, ours.sizes(model.config)))
            found[name], _ = measurements.timed(
                lambda run=run: jax.block_until_ready(run()),
                self.options.repeats,
                self.compilations,
            )
        return {**found, **self.memory()}

    def profile(self, dtype: str, form: str) -> dict[str, Any]:
        """The kernels of one step of decoding, and their time."""
        model, _ = self.model(dtype, form)
        work = self.work(self.options.codes)
        run = ours.call("codes", model, work, inputs("codes", work, ours.sizes(model.config)))
        jax.block_until_ready(run())  # compiled here, if no part did before
        folder = Path(self.options.output) / "traces" / f"decode_{dtype}_{form}"
        with jax.profiler.trace(str(folder)):
            jax.block_until_ready(run())
        return step_profile.read(folder, work.codes)
