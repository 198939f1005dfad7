"""Features of a signal, computed on the host: the inputs of the encoders and of the flow.

In NumPy, with the precision of the reference: a change of 1e-4 in the semantic features is audible
in the cloned voice, and quiet cells of a spectrum amplify every rounding.
"""

import functools
import math

import numpy as np
from jaxtyping import Float32, Float64, Int32, Shaped

from indextts_jax.config import MelConfig
from indextts_jax.errors import InputError

SAMPLE_RATE = 16000  # Hz, of the signals for `semantic_features` and `filter_bank`
FRAME, HOP, FFT = 400, 160, 512  # samples
BANDS, LOW, HIGH = 80, 20.0, 8000.0  # Hz
PRE_EMPHASIS = 0.97
FLOOR = 2.0**-23  # float32 epsilon: the smallest energy
VARIANCE_EPS = 1e-7
PAD_VALUE = 1.0  # fills the frame that completes the last pair
POVEY_POWER = 0.85  # of a symmetric Hann window


def _kaldi_mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)


def _frames(signal: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, "f k"]:
    """Overlapping views of the complete frames; nothing is padded."""
    if len(signal) < FRAME + HOP:  # a variance over time needs two frames
        raise InputError(
            f"{len(signal)} samples at {SAMPLE_RATE} Hz are too few: expected {FRAME + HOP} or more"
        )
    return np.lib.stride_tricks.sliding_window_view(signal, FRAME)[::HOP]


@functools.cache
def _semantic_bank() -> Float64[np.ndarray, "k m"]:
    """Triangles that are linear on Kaldi's mel scale, one column per band, not normalised."""
    corners = np.linspace(_kaldi_mel(LOW), _kaldi_mel(HIGH), BANDS + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    hertz = np.arange(FFT // 2 + 1) * (SAMPLE_RATE / FFT)
    mels = (1127.0 * np.log(1.0 + hertz / 700.0))[:, None]
    slopes = np.minimum((mels - left) / (centre - left), (right - mels) / (right - centre))
    return _frozen(np.maximum(0.0, slopes))


def _frozen(array: np.ndarray) -> np.ndarray:
    """Makes an array read-only, because all calls share it."""
    array.flags.writeable = False
    return array


def semantic_features(
    signal: Float32[np.ndarray, " n"],
) -> tuple[Float32[np.ndarray, "t d"], Int32[np.ndarray, " t"]]:
    """Pairs of normalised filter-bank frames of a 16 kHz signal, and their mask.

    A quirk of the reference: with an odd number of frames the last pair is half padding, and its
    mask is 0 although it holds a real frame.

    Raises:
        InputError: if the signal is shorter than two frames.

    Source: `SeamlessM4TFeatureExtractor` of transformers.
    """
    frames = _frames(signal.astype(np.float64) * 2.0**15)
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames[:, 1:] -= (
        PRE_EMPHASIS * frames[:, :-1]
    )  # the first sample needs no update: the window is zero there
    spectrum = np.fft.rfft(frames * np.hanning(FRAME) ** POVEY_POWER, FFT)
    # The reference stores complex64; without this rounding the result differs by 6e-7.
    power = np.abs(spectrum.astype(np.complex64), dtype=np.float64) ** 2
    energy = np.maximum(FLOOR, _semantic_bank().T @ power.T)
    # Memory order: with frames on the contiguous axis NumPy sums over time pairwise, as the
    # reference does. Sequential sums differ by 3e-6.
    bands = np.log(energy).astype(np.float32)  # m f
    mean = bands.mean(axis=1, keepdims=True)
    deviation = np.sqrt(bands.var(axis=1, ddof=1, keepdims=True) + np.float32(VARIANCE_EPS))
    normal = ((bands - mean) / deviation).T
    count = len(normal)
    padded = np.pad(normal, ((0, count % 2), (0, 0)), constant_values=PAD_VALUE)
    mask = (np.arange(1, count + 1, 2) < count).astype(np.int32)  # mask of each pair's second frame
    return np.ascontiguousarray(padded).reshape(-1, 2 * BANDS), mask


@functools.cache
def _style_window() -> Float32[np.ndarray, " k"]:
    """The Povey window, with the reference's roundings to float32."""
    angle = np.arange(FRAME, dtype=np.float32) * np.float32(2 * math.pi / (FRAME - 1))
    cosine = np.cos(angle.astype(np.float64)).astype(np.float32)
    hann = np.float32(0.5) - np.float32(0.5) * cosine
    power = float(np.float32(POVEY_POWER))
    return _frozen((hann.astype(np.float64) ** power).astype(np.float32))


@functools.cache
def _style_bank() -> Float32[np.ndarray, "k m"]:
    """The triangles of `_semantic_bank`, with the reference's roundings to float32."""
    step = np.float32((_kaldi_mel(HIGH) - _kaldi_mel(LOW)) / (BANDS + 1))
    first, band = np.float32(_kaldi_mel(LOW)), np.arange(BANDS, dtype=np.float32)
    left, centre, right = (first + (band + np.float32(k)) * step for k in range(3))
    ratio = np.arange(FFT // 2, dtype=np.float32) * np.float32(SAMPLE_RATE / FFT) / np.float32(700)
    logarithm = np.log((1 + ratio).astype(np.float64)).astype(np.float32)
    mels = (np.float32(1127) * logarithm)[:, None]
    slopes = np.minimum((mels - left) / (centre - left), (right - mels) / (right - centre))
    nyquist = ((0, 1), (0, 0))  # no band reaches this bin
    return _frozen(np.pad(np.maximum(np.float32(0), slopes), nyquist))


def frame_means(frames: Float32[np.ndarray, "f k"]) -> Float32[np.ndarray, "f 1"]:
    """Means of the frames, summed in float32 in the order of PyTorch's kernel on x86.

    Four accumulators of eight lanes take vectors of the frame in turn; then the four are added,
    then the lanes.
    """
    vectors = frames.reshape(len(frames), -1, 8).swapaxes(0, 1)
    whole = len(vectors) // 4 * 4
    sums = [functools.reduce(np.add, vectors[k:whole:4]) for k in range(4)]
    sums[0] = functools.reduce(np.add, vectors[whole:], sums[0])
    lanes = functools.reduce(np.add, sums)
    return functools.reduce(np.add, lanes.T)[:, None] / np.float32(FRAME)


def filter_bank(signal: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "f m"]:
    """Log energies in 80 bands of a 16 kHz signal in [-1, 1].

    The samples are not scaled to 16 bits, so quiet cells reach the floor, as in the reference.

    Everything before the transform is in float32, with the reference's roundings, which determine
    the quiet cells: in float64 the worst cell differs twice as much from the reference, on real
    speech.

    Raises:
        InputError: if the signal is shorter than two frames.

    Source: `torchaudio.compliance.kaldi.fbank`, without dither and energy.
    """
    frames = _frames(signal)
    frames = frames - frame_means(frames)
    frames[:, 1:] -= np.float32(PRE_EMPHASIS) * frames[:, :-1]  # as in `semantic_features`
    windowed = (frames * _style_window()).astype(np.float64)
    power = np.abs(np.fft.rfft(windowed, FFT)) ** 2
    return np.log(np.maximum(FLOOR, power @ _style_bank())).astype(np.float32)


def centred(frames: Float32[np.ndarray, "f m"]) -> Float32[np.ndarray, "f m"]:
    """The frames minus their mean over time: the input of the style encoder."""
    return (frames - frames.mean(axis=0, dtype=np.float64)).astype(np.float32)


SLANEY_BREAK = 1000.0  # Hz; linear below, logarithmic above
SLANEY_LINEAR = 200.0 / 3.0  # Hz for one mel
SLANEY_LOG = math.log(6.4) / 27.0  # log of the ratio for one mel


def _slaney_to_hertz(mels: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
    knee = SLANEY_BREAK / SLANEY_LINEAR
    above = SLANEY_BREAK * np.exp(SLANEY_LOG * (np.maximum(mels, knee) - knee))
    return np.where(mels < knee, SLANEY_LINEAR * mels, above)


def _hertz_to_slaney(hertz: float) -> float:
    if hertz < SLANEY_BREAK:
        return hertz / SLANEY_LINEAR
    return SLANEY_BREAK / SLANEY_LINEAR + math.log(hertz / SLANEY_BREAK) / SLANEY_LOG


@functools.cache
def mel_bank(cfg: MelConfig) -> Float64[np.ndarray, "k m"]:
    """Triangles that are linear in hertz and of equal area, one column per band; read-only."""
    top = cfg.sample_rate / 2 if cfg.fmax is None else cfg.fmax
    mels = np.linspace(_hertz_to_slaney(cfg.fmin), _hertz_to_slaney(top), cfg.mels + 2)
    corners = _slaney_to_hertz(mels)
    bins = (np.arange(cfg.n_fft // 2 + 1) * (cfg.sample_rate / cfg.n_fft))[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    slopes = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    bank = np.maximum(0.0, slopes) * (2.0 / (right - left))
    return _frozen(bank)


MAGNITUDE_EPS = 1e-9  # added under the square root
MEL_FLOOR = 1e-5


def log_mel(signal: Float32[np.ndarray, " n"], cfg: MelConfig) -> Float32[np.ndarray, "f m"]:
    """The log-mel spectrogram of a signal at the config's rate: `n // hop` frames at 4 * hop.

    Raises:
        InputError: if the signal is too short for reflection padding.

    Source: `mel_spectrogram` of the PyTorch release.
    """
    border = (cfg.n_fft - cfg.hop) // 2
    if len(signal) <= border:
        raise InputError(
            f"{len(signal)} samples at {cfg.sample_rate} Hz are too few: expected more than "
            f"{border}"
        )
    padded = np.pad(signal.astype(np.float64), border, mode="reflect")
    window = np.zeros(cfg.n_fft)
    start = (cfg.n_fft - cfg.window) // 2
    window[start : start + cfg.window] = np.hanning(cfg.window + 1)[:-1]  # periodic
    frames = np.lib.stride_tricks.sliding_window_view(padded, cfg.n_fft)[:: cfg.hop]
    spectrum = np.fft.rfft(frames * window)
    magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + MAGNITUDE_EPS)
    return np.log(np.maximum(MEL_FLOOR, magnitude @ mel_bank(cfg))).astype(np.float32)
