"""Opening a model's codec, and decoding codes for the samples of a run.

Legend: B batch, F frames, Q codebooks, N samples.
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.events import SampleAudio, SampleImage
from allophone.registry import default_registry
from allophone_valle.codecs.opening import open_codec
from allophone_valle.codecs.protocol import Codec, check_audio
from allophone_valle.config import ValleConfig

_log = logging.getLogger(__name__)


def open_model_codec(
    model: ValleConfig, audio: MelSpec, *, device: torch.device, folder: Path | None = None
) -> Codec:
    """Open the codec of `[model.codec]`.

    folder: the voice folder, which may contain the codec. Raises UserError if the codec is missing,
    ConfigError if it does not fit `audio` or the model's codebooks.
    """
    codec = open_codec(model.codec, device=device, registry=default_registry(), folder=folder)
    check_audio(codec, audio)
    model.check_codes(codebooks=codec.codebooks, bins=codec.bins)
    return codec


class SampleDecoder:
    """Renders codes as images and, if the codec is available, as audio."""

    def __init__(self, model: ValleConfig, audio: MelSpec) -> None:
        self._model = model
        self._audio = audio

    @cached_property
    def _codec(self) -> Codec | None:
        try:
            return open_model_codec(self._model, self._audio, device=torch.device("cpu"))
        except UserError as error:
            _log.warning("Samples of codes have images but no audio: %s", error)
            return None

    def samples(self, name: str, codes: Tensor) -> dict[str, SampleAudio | SampleImage]:
        """Render codes [F, Q] as an image, `<name>/codes`, and as audio, `<name>/audio`."""
        codes = codes.cpu()
        samples: dict[str, SampleAudio | SampleImage] = {
            f"{name}/codes": SampleImage(values=codes.T.numpy().astype(np.float32))
        }
        if self._codec is not None and len(codes):
            lengths = torch.tensor([len(codes)])
            waveform = self._codec.decode(codes.T.unsqueeze(0), lengths)[0]
            samples[f"{name}/audio"] = SampleAudio(
                samples=waveform.clamp(-1, 1).float().cpu().numpy(),
                sample_rate=self._audio.sample_rate,
            )
        return samples
