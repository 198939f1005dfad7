"""Codes: greedy, by beams, drawn; and their latents."""

import json
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from tools.reference import stages
from tools.reference.golden.prompt import blended
from tools.reference.golden.recorder import Recorder

PENALTY, SCORED_PENALTY = 10.0, 2.0
"""Repetition penalties: of most searches, and of beams whose scores count their length."""


def generate(recorder: Recorder, text: Tensor, *, most: int | None = None, **settings: Any) -> Any:
    """Codes and speaker latents of the reference's own generation."""
    spk, emo = (recorder.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
    return stages.search(
        recorder.ref.gpt,
        spk,
        text,
        emo,
        recorder.tensor("conditioning", blended(recorder)),
        max_codes=most or recorder.limits.codes,
        **settings,
    )


def prefixed(recorder: Recorder, text: Tensor, **settings: Any) -> tuple[list[Any], Any]:
    """What the reference's prefix builder got and gave, and the result of the generation."""
    gpt, calls = recorder.ref.gpt, []
    build = gpt.prepare_gpt_inputs

    def recording(conds: Tensor, ids: Tensor) -> Any:
        built = build(conds, ids)
        calls.append((conds, *built))
        return built

    with mock.patch.object(gpt, "prepare_gpt_inputs", recording):
        result = generate(recorder, text, **settings)
    return calls[0], result


def gpt(recorder: Recorder) -> None:
    """Prefix, logits, codes searched for."""
    text = recorder.chosen("gpt", "text_ids", lambda _: _ids(recorder, "text"))
    steps: list[Tensor] = []
    hook = recorder.ref.gpt.inference_model.register_forward_hook(
        lambda module, args, output: steps.append(output.logits[:, -1])
    )
    greedy = {"do_sample": False, "num_beams": 1}
    with recorder.deciding("gpt", "greedy_codes", choices=1):
        (conds, _, prefix, _), (codes, latents) = prefixed(
            recorder, text, **greedy, repetition_penalty=PENALTY
        )
    hook.remove()
    logits = torch.stack(steps, 1)
    searches = {
        "greedy_codes_no_penalty": {**greedy, "repetition_penalty": 1.0},
        "beam3_codes": {**_beams(3), "repetition_penalty": PENALTY, "length_penalty": 0.0},
        "beam4_lp1_codes": {
            **_beams(4),
            "repetition_penalty": SCORED_PENALTY,
            "length_penalty": 1.0,
        },
    }
    for name, settings in searches.items():
        # The reference keeps twice as many candidates as it has beams.
        wide = 1 if settings["num_beams"] == 1 else 2 * settings["num_beams"]
        with recorder.deciding("gpt", name, choices=wide):
            found = generate(recorder, text, **settings)[0]
        recorder.keep("gpt", **{name: found})
    if recorder.limits.margins:
        behind = {"max_codes": recorder.limits.codes, "penalty": PENALTY}
        recorder.keep("gpt", settings=json.dumps({**behind, "scored_penalty": SCORED_PENALTY}))
    recorder.keep(
        "gpt",
        emovec=recorder.tensor("conditioning", blended(recorder)),
        prefix=prefix,
        conds=conds,
        greedy_codes=codes,
        step_logits=logits[:, : recorder.limits.logits],
        speaker_latents=latents,
    )


def _beams(count: int) -> dict[str, Any]:
    return {"do_sample": False, "num_beams": count}


def _ids(recorder: Recorder, text: str) -> np.ndarray:
    tokenizer = recorder.ref.tokenizer
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(recorder.recipe[text]))
    return np.int32([ids])


def gpt_batch(recorder: Recorder) -> None:
    """Two texts of different length."""
    text = recorder.chosen("gpt_batch", "text_ids", lambda _: _batch_ids(recorder))
    with recorder.deciding("gpt_batch", "greedy_codes", choices=1):
        (_, _, prefix, mask), (codes, _) = prefixed(
            recorder, text, do_sample=False, num_beams=1, repetition_penalty=PENALTY
        )
    recorder.keep("gpt_batch", prefix=prefix, mask=mask, greedy_codes=codes)


def _batch_ids(recorder: Recorder) -> np.ndarray:
    """The text, and a shorter one filled with id 1."""
    rows = np.repeat(recorder.out["gpt"]["text_ids"], 2, axis=0)
    second = _ids(recorder, "second_text")
    rows[1] = 1
    rows[1, : second.shape[1]] = second
    return rows


def gpt_sampling(recorder: Recorder) -> None:
    """Codes drawn with recorded draws."""
    text = recorder.tensor("gpt", "text_ids")
    for case in ("beam3", "single", "single_typical", "beam3_typical"):
        settings = recorder.inputs(
            "gpt_sampling",
            f"{case}_settings",
            lambda _, case=case: json.dumps(recorder.recipe["sampling"][case]),
        )
        options = json.loads(str(settings))
        with recorder.drawing("gpt_sampling", case) as draws:
            codes = generate(
                recorder, text, most=recorder.limits.sampled, do_sample=True, **options
            )[0]
        recorder.notes.append(f"{case}: {draws.fewest} candidates to spare")
        recorder.keep("gpt_sampling", **{f"{case}_codes": codes})
        recorder.keep("gpt_sampling", **{f"{case}_settings": settings})


def gpt_latent(recorder: Recorder) -> None:
    """Latents of the second pass over the codes."""
    codes = _cut(recorder.tensor("gpt", "greedy_codes"), recorder.ref.gpt.stop_mel_token)
    recorder.keep("gpt_latent", codes=codes, latent=_latent(recorder, codes))


def _latent(recorder: Recorder, codes: Tensor) -> Tensor:
    return stages.code_latents(
        recorder.ref.gpt,
        recorder.tensor("gpt", "speaker_latents"),
        recorder.tensor("gpt", "text_ids"),
        codes,
        recorder.tensor("w2v", "emo_semantic"),
        recorder.tensor("gpt", "emovec"),
    )


def _cut(codes: Tensor, stop: int) -> Tensor:
    """The codes before the first stop code."""
    ends = (codes[0] == stop).nonzero()
    return codes[:, : int(ends[0])] if len(ends) else codes
