"""`report.md`: the evaluations of a run as a table, with the best and the base."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indextts_jax.training.loop import folder as folders
from indextts_jax.training.loop import log
from indextts_jax.training.loop.saves import Best, read_best, steps_in
from indextts_jax.training.recipe import Recipe
from indextts_jax.utils.atomic import write_whole

FILE = "report.md"
NOTES = {
    "gpt": "The GPT learns how something is said: rhythm, accent, stress. The timbre of the voice "
    "comes from the flow and the prompt: train `flow_lora` too, and synthesise with a prompt of "
    "the same speaker.",
    "flow": "The flow learns the timbre. How something is said comes from the GPT.",
}
SIDE = ("seconds", "samples", "judges", "speakers", "score", "loss", "kind", "step")


SAMPLES = ("samples ended", "codes per character", "longest repeat", "silence", "clipped")
JUDGES = {"wer": "word errors", "similarity": "similarity", "quality": "DNSMOS"}


def write(run: Path) -> None:
    """Writes the report of a run from its log."""
    text = report(folders.read_recipe(run), read_best(run), log.read(run), steps_in(run))
    write_whole(run / FILE, text.encode())


def report(
    recipe: Recipe, best: Best, lines: Sequence[Mapping[str, Any]], saved: Sequence[int]
) -> str:
    """The report as Markdown."""
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    evaluations.sort(key=lambda line: (_score(line), line["step"]))
    terms = [
        name
        for name in dict.fromkeys(name for line in evaluations for name in line)
        if name not in SIDE and "decile" not in name  # these are in the log
    ]
    judges = [name for name in JUDGES if any(name in _judged(line) for line in evaluations)]
    spoken = SAMPLES if any(line.get("samples") for line in evaluations) else ()
    header = ["step", "saved", best.metric, *(JUDGES[name] for name in judges), *terms, *spoken]
    rows = [_row(line, judges, terms, best, saved)[: len(header)] for line in evaluations]
    page = [f"# Training: {recipe.objective}", ""]
    page += [_verdict(best), ""]
    page += [_line(header), _line(["---"] * len(header)), *map(_line, rows), ""]
    page += _speakers(evaluations, best)
    page += _listening(evaluations)
    skipped = [line for line in lines if line["kind"] == "skipped"]
    if skipped:
        names = sorted({name for line in skipped for name in line["rows"]})
        page += [
            f"{len(skipped)} steps were skipped because of non-finite gradients. Their clips: "
            f"{', '.join(names[:20])}{' ...' if len(names) > 20 else ''}.",
            "",
        ]
    if recipe.objective in NOTES:
        page += [NOTES[recipe.objective], ""]
    return "\n".join(page)


def _score(line: Mapping[str, Any]) -> float:
    return float(line.get("score", line.get("loss", "inf")))


def _verdict(best: Best) -> str:
    if best.best is None:
        return "There are no evaluated saves yet."
    value = next(score.value for score in best.scores if score.step == best.best)
    verdict = f"The best save is that of step {best.best}: {best.metric} {value:.4f}"
    if best.base is None:
        return f"{verdict}."
    if value >= best.base:
        return (
            f"{verdict}. **It is not better than the model before training ({best.base:.4f}).** "
            "The run did not improve it."
        )
    return f"{verdict}, {best.base - value:.4f} below the model before training ({best.base:.4f})."


def _judged(line: Mapping[str, Any]) -> Mapping[str, Any]:
    return line.get("judges") or {}


def _row(
    line: Mapping[str, Any],
    judges: Sequence[str],
    terms: Sequence[str],
    best: Best,
    saved: Sequence[int],
) -> list[str]:
    step, samples = line["step"], line.get("samples") or {}
    name = (
        f"{step} (base)" if step == 0 else f"**{step} (best)**" if step == best.best else str(step)
    )
    score = _score(line)
    return [
        name,
        "yes" if step in saved else "",
        f"{score:.4f}" if score != float("inf") else "",
        *(_verdict_of(judge, _judged(line).get(judge)) for judge in judges),
        *(_number(line.get(term)) for term in terms),
        f"{samples['ended']} of {samples['count']}" if samples else "",
        f"{samples['ratio']:.2f} of the clips'" if samples else "",
        f"{samples['repeat']:.2f} s" if "repeat" in samples else "",
        f"{samples['silence']:.1%}" if "silence" in samples else "",
        f"{samples['clipped']:.2%}" if "clipped" in samples else "",
    ]


def _verdict_of(judge: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if judge == "wer" else f"{value:.3f}"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)


def _speakers(evaluations: Sequence[Mapping[str, Any]], best: Best) -> list[str]:
    """The loss of each speaker at the best step and for the base."""
    by_step = {line["step"]: line.get("speakers") or {} for line in evaluations}
    last = by_step.get(best.best if best.best is not None else 0, {})
    if len(last) < 2:
        return []
    first = by_step.get(0, {})
    rows = [[name, _number(first.get(name)), _number(value)] for name, value in last.items()]
    header = ["speaker", "base", "best"]
    return [_line(header), _line(["---"] * 3), *map(_line, rows), ""]


def _listening(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for line in sorted(evaluations, key=lambda line: line["step"]):
        if names := (line.get("samples") or {}).get("listen"):
            files = ", ".join(f"samples/{line['step']}/{name}.wav" for name in names)
            lines.append(f"- step {line['step']}: {files}")
    if not lines:
        return []
    return [
        "Samples that did not end with a stop code, repeat, or are unusually short or long:",
        "",
        *lines,
        "",
    ]


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
