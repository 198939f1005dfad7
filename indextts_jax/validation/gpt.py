"""Validation of the GPT: prefix, logits, all decoding modes, latents."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from indextts_jax.errors import InputError
from indextts_jax.runtime import inner_stages
from indextts_jax.runtime.model import Model
from indextts_jax.runtime.stages import code_latents, search_codes
from indextts_jax.sampling.generate import Generated, SamplingConfig
from indextts_jax.validation.golden import Arrays, Golden, named

KNOWN_SETTINGS = {field.name for field in dataclasses.fields(SamplingConfig)} - {"max_codes"}
FILLER = 1  # padding token after shorter texts of a batch


class Prompt(NamedTuple):
    """What conditions the recorded searches besides the text."""

    latents: ArrayLike
    emotion: ArrayLike
    languages: ArrayLike | None = None  # of the rows; None where the version has none

    @property
    def own(self) -> tuple[jax.Array, ...]:
        """The arrays that only this version has."""
        return () if self.languages is None else (jnp.asarray(self.languages, jnp.int32),)

    def repeated(self, rows: int, languages: np.ndarray | None = None) -> "Prompt":
        """The same for several texts, whose languages may be given."""
        latents, emotion = (np.repeat(np.asarray(a), rows, axis=0) for a in self[:2])
        return Prompt(latents, emotion, self.languages if languages is None else languages)


PromptOf = Callable[[Model, Golden], Prompt]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Searches:
    """Settings of the recorded searches; the defaults apply if `gpt.npz` has no `settings`."""

    max_codes: int = 48
    penalty: float = 10.0  # codes of greedy decoding and beam search
    scored_penalty: float = 2.0  # of the recorded search with a length penalty

    @classmethod
    def of(cls, golden: Golden) -> "Searches":
        """The settings of a golden directory."""
        if "settings" not in golden.arrays("gpt"):
            return cls()
        return cls(**golden.settings("gpt", "settings"))


def _lengths(text: np.ndarray) -> np.ndarray:
    """Text tokens before each row's padding."""
    tail = np.cumprod(text[:, ::-1] == FILLER, axis=1).sum(axis=1)
    return (text.shape[1] - tail).astype(np.int32)


def decoded(
    model: Model,
    prompt: Prompt,
    text: np.ndarray,
    settings: SamplingConfig,
    draws: np.ndarray | None = None,
) -> Generated:
    """Codes of a batch, by search or with the recorded draws."""
    text = text.astype(np.int32)
    none = jnp.zeros((len(text), 1, 1), jnp.float32)
    return search_codes(
        model,
        jnp.asarray(prompt.latents),
        jnp.asarray(prompt.emotion),
        jnp.asarray(text),
        jnp.asarray(_lengths(text)),
        none if draws is None else jnp.asarray(draws)[None],
        settings.numbers,
        *prompt.own,
        strategy=settings.strategy,
    )


def with_stop(generated: Generated) -> np.ndarray:
    """The codes as the reference returns them: up to the longest row and its stop code.

    A row that fills the buffer has no stop code; shorter rows are padded with it.
    """
    longest = int(np.max(generated.lengths)) + 1
    return np.asarray(generated.codes)[:, :longest].astype(np.int64)


def cut(model: Model, codes: np.ndarray) -> np.ndarray:
    """One row of codes, cut at the first stop code."""
    stops = np.flatnonzero(codes[0] == model.config.gpt.stop_code)
    return codes[:, : stops[0]] if len(stops) else codes


def greedy(
    model: Model,
    prompt: Prompt,
    text: np.ndarray,
    searches: Searches,
    penalty: float | None = None,
) -> np.ndarray:
    """Greedy codes including the stop code; the penalty is by default that of the settings."""
    settings = SamplingConfig(
        beams=1,
        sample=False,
        repetition_penalty=searches.penalty if penalty is None else penalty,
        max_codes=_limit(model, searches),
    )
    return with_stop(decoded(model, prompt, text, settings))


def _limit(model: Model, searches: Searches) -> int:
    return min(searches.max_codes, model.config.gpt.max_codes)


def recorded_prompt(model: Model, golden: Golden) -> Prompt:
    """The recorded latents and emotion vector."""
    return Prompt(golden["gpt", "speaker_latents"], golden["gpt", "emovec"])


def single(model: Model, golden: Golden, prompt_of: PromptOf = recorded_prompt) -> Arrays:
    """`gpt.npz`."""
    prompt = prompt_of(model, golden)
    text = golden["gpt", "text_ids"].astype(np.int32)
    lengths = np.asarray([text.shape[1]], np.int32)
    recorded = golden.arrays("gpt")
    searches = Searches.of(golden)
    # Teacher-forced with the recorded codes, so that one different choice does not change all later
    # ones.
    path = golden["gpt", "greedy_codes"][:, : golden["gpt", "step_logits"].shape[1]]
    latents, emotion = np.asarray(prompt.latents), np.asarray(prompt.emotion)
    known = path.astype(np.int32)
    made = {
        "conds": inner_stages.conditioning_rows(model, latents, emotion),
        "prefix": left_padded(model, prompt, text)[0],
        "greedy_codes": greedy(model, prompt, text, searches),
        "greedy_codes_no_penalty": greedy(model, prompt, text, searches, 1.0),
        "step_logits": inner_stages.replay_logits(
            model, latents, emotion, text, lengths, known, *prompt.own
        ),
    }
    for name, match in named(r"beam(\d+)(?:_lp([\d_]+))?_codes", recorded).items():
        scored = match.group(2) is not None
        settings = SamplingConfig(
            beams=int(match.group(1)),
            sample=False,
            repetition_penalty=searches.scored_penalty if scored else searches.penalty,
            length_penalty=float(match.group(2).replace("_", ".")) if scored else 0.0,
            max_codes=_limit(model, searches),
        )
        made[name] = with_stop(decoded(model, prompt, text, settings))
    return made


def left_padded(model: Model, prompt: Prompt, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The prefix of each row in the reference's form, and its mask, which includes the start code.

    The reference removes start and stop ids anywhere, and pads on the left; this program pads on
    the right.
    """
    kept = inner_stages.without_special(model, text, np.full(len(text), text.shape[1], np.int32))
    latents, emotion = map(np.asarray, prompt[:2])
    made = inner_stages.prefix(model, latents, emotion, *kept, *prompt.own)
    rows, counts = map(np.asarray, made)
    prefix, mask = np.zeros_like(rows), np.ones((len(rows), rows.shape[1] + 1), np.int64)
    for row, count in enumerate(counts.tolist()):
        prefix[row, rows.shape[1] - count :] = rows[row, :count]
        mask[row, : rows.shape[1] - count] = 0
    return prefix, mask


def batch(model: Model, golden: Golden, prompt_of: PromptOf = recorded_prompt) -> Arrays:
    """`gpt_batch.npz`."""
    text = golden["gpt_batch", "text_ids"].astype(np.int32)
    languages = golden.arrays("gpt_batch").get("lang_ids")
    prompt = prompt_of(model, golden).repeated(len(text), languages)
    prefix, mask = left_padded(model, prompt, text)
    return {
        "prefix": prefix,
        "mask": mask,
        "greedy_codes": greedy(model, prompt, text, Searches.of(golden)),
    }


def sampling(model: Model, golden: Golden, prompt_of: PromptOf = recorded_prompt) -> Arrays:
    """`gpt_sampling.npz`: replays every case with its recorded draws."""
    made: Arrays = {}
    prompt = prompt_of(model, golden)
    for name, match in named(r"(\w+)_codes", golden.arrays("gpt_sampling")).items():
        case = match.group(1)
        settings = golden.settings("gpt_sampling", f"{case}_settings")
        draws = golden["gpt_sampling", f"{case}_exponential"]
        given = {"beams" if key == "num_beams" else key: v for key, v in settings.items()}
        if unknown := set(given) - KNOWN_SETTINGS:
            raise InputError(f"{case}_settings has unknown settings: {unknown}")
        config = SamplingConfig(**given, max_codes=len(draws))
        text = golden["gpt", "text_ids"]
        made[name] = with_stop(decoded(model, prompt, text, config, draws))
    return made


def latents(model: Model, golden: Golden) -> Arrays:
    """`gpt_latent.npz`."""
    text = golden["gpt", "text_ids"].astype(np.int32)
    codes = golden["gpt_latent", "codes"].astype(np.int32)
    counts = [np.asarray([array.shape[1]], np.int32) for array in (text, codes)]
    prompt = golden["gpt", "speaker_latents"], golden["gpt", "emovec"]
    state = code_latents(model, *prompt, text, counts[0], codes, counts[1])
    return {"latent": state}
