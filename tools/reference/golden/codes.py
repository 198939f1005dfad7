"""Codes: greedy, by beams, drawn; and their latents."""

import json
from typing import Any
from unittest import mock

import numpy as np
import torch
from golden.prompt import blended
from golden.run import Run
from torch import Tensor

PENALTY, SCORED_PENALTY = 10.0, 2.0
"""Repetition penalties: of most searches, and of beams whose scores count their length."""


def generate(run: Run, text: Tensor, *, most: int | None = None, **settings: Any) -> Any:
    """Codes and speaker latents of the reference's own generation."""
    rows = text.shape[0]
    spk, emo = (run.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
    emovec = run.tensor("conditioning", blended(run))
    width = torch.tensor([spk.shape[-1]] * rows)
    return run.ref.gpt.inference_speech(
        spk.expand(rows, -1, -1),
        text,
        emo.expand(rows, -1, -1),
        cond_lengths=width,
        emo_cond_lengths=width,
        emo_vec=emovec.expand(rows, -1),
        max_generate_length=most or run.limits.codes,
        **settings,
    )


def prefixed(run: Run, text: Tensor, **settings: Any) -> tuple[list[Any], Any]:
    """What the reference's prefix builder got and gave, and the result of the generation."""
    gpt, calls = run.ref.gpt, []
    build = gpt.prepare_gpt_inputs

    def recording(conds: Tensor, ids: Tensor) -> Any:
        built = build(conds, ids)
        calls.append((conds, *built))
        return built

    with mock.patch.object(gpt, "prepare_gpt_inputs", recording):
        result = generate(run, text, **settings)
    return calls[0], result


def gpt(run: Run) -> None:
    """Prefix, logits, codes searched for."""
    text = run.chosen("gpt", "text_ids", lambda _: _ids(run, "text"))
    steps: list[Tensor] = []
    hook = run.ref.gpt.inference_model.register_forward_hook(
        lambda module, args, output: steps.append(output.logits[:, -1])
    )
    greedy = {"do_sample": False, "num_beams": 1}
    with run.deciding("gpt", "greedy_codes", choices=1):
        (conds, _, prefix, _), (codes, latents) = prefixed(
            run, text, **greedy, repetition_penalty=PENALTY
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
        with run.deciding("gpt", name, choices=wide):
            found = generate(run, text, **settings)[0]
        run.keep("gpt", **{name: found})
    if run.limits.margins:
        behind = {"max_codes": run.limits.codes, "penalty": PENALTY}
        run.keep("gpt", settings=json.dumps({**behind, "scored_penalty": SCORED_PENALTY}))
    run.keep(
        "gpt",
        emovec=run.tensor("conditioning", blended(run)),
        prefix=prefix,
        conds=conds,
        greedy_codes=codes,
        step_logits=logits[:, : run.limits.logits],
        speaker_latents=latents,
    )


def _beams(count: int) -> dict[str, Any]:
    return {"do_sample": False, "num_beams": count}


def _ids(run: Run, text: str) -> np.ndarray:
    tokenizer = run.ref.tokenizer
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(run.recipe[text]))
    return np.int32([ids])


def gpt_batch(run: Run) -> None:
    """Two texts of different length."""
    text = run.chosen("gpt_batch", "text_ids", lambda _: _batch_ids(run))
    with run.deciding("gpt_batch", "greedy_codes", choices=1):
        (_, _, prefix, mask), (codes, _) = prefixed(
            run, text, do_sample=False, num_beams=1, repetition_penalty=PENALTY
        )
    run.keep("gpt_batch", prefix=prefix, mask=mask, greedy_codes=codes)


def _batch_ids(run: Run) -> np.ndarray:
    """The text, and a shorter one filled with id 1."""
    rows = np.repeat(run.out["gpt"]["text_ids"], 2, axis=0)
    second = _ids(run, "second_text")
    rows[1] = 1
    rows[1, : second.shape[1]] = second
    return rows


def gpt_sampling(run: Run) -> None:
    """Codes drawn with recorded draws."""
    text = run.tensor("gpt", "text_ids")
    for case in ("beam3", "single", "single_typical", "beam3_typical"):
        settings = run.inputs(
            "gpt_sampling",
            f"{case}_settings",
            lambda _, case=case: json.dumps(run.recipe["sampling"][case]),
        )
        options = json.loads(str(settings))
        with run.drawing("gpt_sampling", case) as draws:
            codes = generate(run, text, most=run.limits.sampled, do_sample=True, **options)[0]
        run.notes.append(f"{case}: {draws.fewest} candidates to spare")
        run.keep("gpt_sampling", **{f"{case}_codes": codes})
        run.keep("gpt_sampling", **{f"{case}_settings": settings})


def gpt_latent(run: Run) -> None:
    """Latents of the second pass over the codes."""
    codes = _cut(run.tensor("gpt", "greedy_codes"), run.ref.gpt.stop_mel_token)
    run.keep("gpt_latent", codes=codes, latent=_latent(run, codes))


def _latent(run: Run, codes: Tensor) -> Tensor:
    gpt, text = run.ref.gpt, run.tensor("gpt", "text_ids")
    spk, emo = (run.tensor("w2v", f"{x}_semantic") for x in ("spk", "emo"))
    width = torch.tensor([spk.shape[-1]])
    return gpt(
        run.tensor("gpt", "speaker_latents"),
        text,
        torch.tensor([text.shape[-1]]),
        codes,
        torch.tensor([codes.shape[-1]]),
        emo,
        cond_mel_lengths=width,
        emo_cond_mel_lengths=width,
        emo_vec=run.tensor("gpt", "emovec"),
        use_speed=torch.zeros(1).long(),
    )


def _cut(codes: Tensor, stop: int) -> Tensor:
    """The codes before the first stop code."""
    ends = (codes[0] == stop).nonzero()
    return codes[:, : int(ends[0])] if len(ends) else codes
