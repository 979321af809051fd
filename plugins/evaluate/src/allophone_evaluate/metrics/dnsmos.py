"""The metric `dnsmos`: the ratings that DNSMOS P.835 (Reddy et al. 2022) predicts, 1 to 5.

It was trained on ratings of noisy and denoised speech by ITU-T P.835: of the speech alone, of what is behind it, and of
both. It hears no reference. Weights and the polynomials of the ratings are those of the package speechmos (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.audio.files import resample
from allophone.errors import UserError
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import DnsmosConfig
from allophone_evaluate.packages import required_package

_RATE = 16000
_SECONDS = 9.01
"""The length of what the model hears."""

_SHORTEST = 0.1
_WEIGHTS = Path("dnsmos_models", "sig_bak_ovr.onnx")
_RATINGS = {
    "dnsmos_signal": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_background": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos": (-0.06766283, 1.11546468, 0.04602535),
}
"""The outputs of the model in their order, and the polynomials, highest power first, that make ratings of them."""


class Dnsmos:
    """Gives "dnsmos" (both), "dnsmos_signal" and "dnsmos_background"; NaN for less than 0.1 seconds."""

    def __init__(self, config: DnsmosConfig, context: MetricContext) -> None:
        del config, context
        onnxruntime = required_package("onnxruntime", metric="dnsmos", extra="mos")
        # The package's own code needs librosa; its weights are enough.
        package = required_package("speechmos", metric="dnsmos", extra="mos")
        weights = Path(package.__file__).parent / _WEIGHTS
        if not weights.is_file():
            raise UserError(
                f"The metric 'dnsmos' needs {weights}, which is missing.",
                hint="pip install --force-reinstall speechmos==0.0.1.1",
            )
        self._session: Any = onnxruntime.InferenceSession(
            str(weights), providers=["CPUExecutionProvider"]
        )

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"dnsmos_signal": rating, "dnsmos_background": rating, "dnsmos": rating} of each."""
        return [self._ratings(one) for one in speech]

    def _ratings(self, speech: SynthesizedSpeech) -> dict[str, float]:
        samples = resample(speech.samples, speech.sample_rate, _RATE)
        if len(samples) < _SHORTEST * _RATE:
            return dict.fromkeys(_RATINGS, math.nan)
        heard = [
            self._session.run(None, {"input_1": window[None]})[0][0]
            for window in _windows(np.clip(samples, -1, 1).astype(np.float32))
        ]
        return {
            name: float(np.polyval(powers, [one[output] for one in heard]).mean())
            for output, (name, powers) in enumerate(_RATINGS.items())
        }


def _windows(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Windows of `_SECONDS`, a second apart; shorter speech is repeated.

    As in the package, what rounding makes a sample too short is left out.
    """
    size = int(_SECONDS * _RATE)
    while len(samples) < size:
        samples = np.concatenate([samples, samples])
    for second in range(int(len(samples) // _RATE - _SECONDS) + 1):
        window = samples[second * _RATE : int((second + _SECONDS) * _RATE)]
        if len(window) == size:
            yield window
