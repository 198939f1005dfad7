"""Speech quality: DNSMOS, an estimate of listeners' opinion scores from 1 to 5."""

import importlib.util
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from indextts_jax.errors import InputError
from indextts_jax.training.evaluation.judges import packages

FLAG = "judge_quality"
RATE = 16_000  # Hz
SHORTEST = 0.1  # seconds; shorter signals are not judged
WINDOW = 9.01  # seconds of the network's input; shorter signals are repeated
OVERALL = (
    -0.06766283,
    1.11546468,
    0.04602535,
)  # polynomial from its output to the listeners' scale, highest power first
MODEL = "dnsmos_models/sig_bak_ovr.onnx"  # in the package speechmos


class Quality:
    """The overall score (OVRL) of DNSMOS P.835.

    The network is a file of the package speechmos. The package's code is not used, because it needs
    librosa for a second network whose result is not needed.

    Raises:
        InputError: without the packages.
    """

    def __init__(self) -> None:
        onnx = packages.load("onnxruntime", FLAG)
        spec = importlib.util.find_spec("speechmos")
        if spec is None or spec.origin is None:
            raise InputError(
                f"{FLAG} needs the package speechmos: pip install 'indextts-jax[judge]'", FLAG
            )
        path = Path(spec.origin).parent / MODEL
        if not path.is_file():
            raise InputError(f"{FLAG}: the package speechmos has no file {MODEL}", FLAG)
        options = onnx.SessionOptions()
        options.intra_op_num_threads = 1  # the network is small; more threads would busy-wait
        cpu = ["CPUExecutionProvider"]
        self._session = onnx.InferenceSession(str(path), options, providers=cpu)

    def __call__(self, signal: Float32[np.ndarray, " n"]) -> float | None:
        """The score of a signal of 16 kHz: the mean over windows that begin a second apart.

        None for a signal that is too short.

        Source: `speechmos.dnsmos.run` of the package, `ovrl_mos`.
        """
        if len(signal) < SHORTEST * RATE:
            return None
        heard, size = np.clip(signal, -1, 1).astype(np.float32), int(WINDOW * RATE)
        while len(heard) < size:
            heard = np.append(heard, heard)
        count = int(len(heard) // RATE - WINDOW) + 1
        # Quirk of the package: by its arithmetic some windows are one sample too short, and are
        # skipped.
        windows = [heard[n * RATE : int((n + WINDOW) * RATE)] for n in range(count)]
        raw = [
            self._session.run(None, {"input_1": window[None]})[0][0][2]
            for window in windows
            if len(window) == size
        ]
        return float(np.mean(np.polyval(OVERALL, raw)))
