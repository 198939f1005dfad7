"""Estimates of memory and time for a request."""

import dataclasses

from indextts_jax.engine.settings import Settings
from indextts_jax.engine.tts import IndexTTS
from indextts_jax.planning import speed_log
from indextts_jax.planning.dry_run import dry_run_model
from indextts_jax.planning.memory import Need, analysis_need, speaking_need
from indextts_jax.planning.speed_log import Speed, SpeedSetting
from indextts_jax.runtime import devices, executables
from indextts_jax.runtime.executables import NotCompiled
from indextts_jax.text.frontend import Script


@dataclasses.dataclass(frozen=True)
class SpeechPlan:
    """What is known before a text is spoken; unknown fields are None."""

    device: str
    dtype: str
    batch: int
    segments: int
    text_tokens: int
    audio: tuple[float, float, float]  # seconds: usual, least, most
    speed: Speed | None
    speaking: Need | None
    analysis: Need | None

    @property
    def seconds(self) -> tuple[float, float, float] | None:
        """Compute time: usual, least, most; None without a measured speed."""
        if self.speed is None:
            return None
        usual, least, most = self.audio
        return (usual * self.speed.factor, least * self.speed.least, most * self.speed.most)


def planned(tts: IndexTTS, script: Script, settings: Settings, *, compiles: bool) -> SpeechPlan:
    """The plan of a script.

    The memory is known if the largest programs were compiled before, or if `compiles` allows that
    now.
    """
    durations = [segment.duration for segment in script.segments]
    silence = script.lead + sum(segment.pause for segment in script.segments)
    speed = settings.timing.pace
    audio = (
        sum(one.usual for one in durations) / speed + silence,
        sum(one.least for one in durations) / speed + silence,
        sum(one.most for one in durations) / speed + silence,
    )
    setting = SpeedSetting.of(tts.model, settings, tts.model.device, segments=len(script.segments))
    model, kept = dry_run_model(tts.model), executables.active()
    speaking = analysis = None
    if compiles or kept is not None:
        with executables.compiling(compiles):
            try:
                speaking = speaking_need(model, settings)
                analysis = analysis_need(model)
            except NotCompiled:
                pass  # the rest is reported as unknown
    return SpeechPlan(
        device=devices.describe(tts.model.device),
        dtype=model.run.compute_dtype("gpt"),
        batch=settings.batch,
        segments=len(script.segments),
        text_tokens=sum(len(segment.ids) for segment in script.segments),
        audio=audio,
        speed=speed_log.known(setting),
        speaking=speaking,
        analysis=analysis,
    )


def format_plan(plan: SpeechPlan) -> list[str]:
    """The plan as human-readable lines."""

    def span(values: tuple[float, float, float]) -> str:
        usual, least, most = map(_time, values)
        return f"about {usual} ({least} to {most})"

    if plan.seconds is None or plan.speed is None:
        spent = (
            "unknown: this device has not yet spoken with this model, dtype, batch, beams and "
            "steps; synth measures while it speaks, --calibrate measures now"
        )
    else:
        spent = (
            f"{span(plan.seconds)}, without compilation: {plan.speed.factor:.2f} s for a second of "
            f"audio in {plan.speed.runs} run{'s' * (plan.speed.runs != 1)}"
        )
    unknown = "unknown: the programs are not compiled yet; warmup and --calibrate compile them"
    return [
        f"device    {plan.device}, {plan.dtype}, batch {plan.batch}",
        f"segments  {plan.segments:,} with {plan.text_tokens:,} text tokens",
        f"audio     {span(plan.audio)}",
        f"time      {spent}",
        f"memory    {plan.speaking or unknown}",
        *([f"          for analysing the prompt first: {plan.analysis}"] if plan.analysis else []),
    ]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
