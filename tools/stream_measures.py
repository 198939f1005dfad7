"""What can be heard where chunks meet, in numbers; NumPy alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

NEAR, FAR = 10, 40  # frames from a seam
BESIDE = 0.005  # seconds of level to either side
CLICK = 0.001  # seconds around a seam in which a click is looked for
PLACES = 1000  # random places to compare seams with
QUIET = 1e-5  # RMS that levels are compared above


@dataclasses.dataclass(frozen=True)
class Measures:
    """Numbers of one sound; arrays have a number for each frame, seam or place."""

    errors: Float[np.ndarray, " f"]  # squared difference of the mel to the whole
    distances: Float[np.ndarray, " f"]  # frames to the nearest seam; infinite without seams
    jumps: Float[np.ndarray, " s"]  # difference of level in dB at seams
    usual_jumps: Float[np.ndarray, " p"]  # at random places
    clicks: Float[np.ndarray, " s"]  # largest second difference at seams
    usual_clicks: Float[np.ndarray, " n"]
    flux: Float[np.ndarray, " s"]  # change of the mel from frame to frame, at seams
    usual_flux: Float[np.ndarray, " f"]


def measured(
    wave: Float32[np.ndarray, " n"],
    seams: Sequence[int],
    mel: Float[np.ndarray, "f m"],
    whole: Float[np.ndarray, "g m"],
    rate: int,
    hop: int,
) -> Measures:
    """The measures of a sound with its mel, against the mel of the sound made at once."""
    count = min(len(mel), len(whole))
    errors = np.mean((mel[:count] - whole[:count]).astype(np.float64) ** 2, axis=1)
    frames = np.arange(count)
    distances = np.full(count, np.inf)
    for seam in seams:
        distances = np.minimum(distances, np.abs(frames - seam))
    second = np.abs(np.diff(wave.astype(np.float64), n=2))
    flux = np.mean(np.abs(np.diff(mel.astype(np.float64), axis=0)), axis=1)
    beside, click = round(BESIDE * rate), max(1, round(CLICK * rate))
    places = np.random.default_rng(0).integers(beside, max(beside + 1, len(wave) - beside), PLACES)
    at = [seam * hop for seam in seams if beside <= seam * hop <= len(wave) - beside]
    return Measures(
        errors=errors,
        distances=distances,
        jumps=np.asarray([_jump(wave, place, beside) for place in at]),
        usual_jumps=np.asarray([_jump(wave, int(place), beside) for place in places]),
        clicks=np.asarray([second[max(0, p - click) : p + click].max() for p in at]),
        usual_clicks=second,
        flux=np.asarray([flux[s - 1] for s in seams if 0 < s <= len(flux)]),
        usual_flux=flux,
    )


def _jump(wave: Float32[np.ndarray, " n"], place: int, beside: int) -> float:
    def level(part: Float32[np.ndarray, " k"]) -> float:
        return 20 * float(np.log10(max(QUIET, np.sqrt(np.mean(part.astype(np.float64) ** 2)))))

    return abs(level(wave[place - beside : place]) - level(wave[place : place + beside]))


def summary(found: Sequence[Measures]) -> dict[str, float]:
    """Numbers over all sounds: RMS differences of the mel, ratios of seams to other places.

    A ratio of 1 says that seams are like any other place; not a number without seams.
    """

    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in found])

    errors, distances = all_of("errors"), all_of("distances")
    jumps, usual = all_of("jumps"), all_of("usual_jumps")

    def rms(chosen: np.ndarray) -> float:
        return float(np.sqrt(np.mean(errors[chosen]))) if chosen.any() else float("nan")

    def ratio(ours: np.ndarray, others: np.ndarray, quantile: float) -> float:
        if not len(ours):
            return float("nan")
        return float(np.quantile(ours, quantile) / max(1e-12, np.quantile(others, quantile)))

    return {
        "mel": rms(np.ones(len(errors), bool)),
        "mel < 10": rms(distances < NEAR),
        "mel 10-40": rms((distances >= NEAR) & (distances <= FAR)),
        "mel > 40": rms((distances > FAR) & np.isfinite(distances)),
        "jump": ratio(jumps, usual, 0.5),
        "jump 95 %": ratio(jumps, usual, 0.95),
        "click": (
            float(np.max(all_of("clicks")) / np.quantile(all_of("usual_clicks"), 0.999))
            if len(all_of("clicks"))
            else float("nan")
        ),
        "flux": ratio(all_of("flux"), all_of("usual_flux"), 0.5),
    }
