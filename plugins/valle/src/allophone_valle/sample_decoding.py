"""The codec that a model speaks through, and what codes look and sound like while it learns.

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


def open_fitting_codec(
    model: ValleConfig, audio: MelSpec, *, device: torch.device, folder: Path | None = None
) -> Codec:
    """The codec of `[model.codec]`.

    folder: of a voice, which may carry its codec. Raises UserError where it is not there, ConfigError
    where it is none for `audio`, or has other codes than are modelled.
    """
    codec = open_codec(model.codec, device=device, registry=default_registry(), folder=folder)
    check_audio(codec, audio)
    model.check_codes(codebooks=codec.codebooks, bins=codec.bins)
    return codec


class SampleDecoder:
    """Makes images of codes and, where the codec is installed, audio."""

    def __init__(self, model: ValleConfig, audio: MelSpec) -> None:
        self._model = model
        self._audio = audio

    @cached_property
    def _codec(self) -> Codec | None:
        try:
            return open_fitting_codec(self._model, self._audio, device=torch.device("cpu"))
        except UserError as error:
            _log.warning("Samples of codes are images without audio: %s", error)
            return None

    def samples(self, name: str, codes: Tensor) -> dict[str, SampleAudio | SampleImage]:
        """codes [F, Q] as a picture, `<name>/codes`, and as sound, `<name>/audio`."""
        codes = codes.cpu()
        found: dict[str, SampleAudio | SampleImage] = {
            f"{name}/codes": SampleImage(values=codes.T.numpy().astype(np.float32))
        }
        if self._codec is not None and len(codes):
            lengths = torch.tensor([len(codes)])
            waveform = self._codec.decode(codes.T.unsqueeze(0), lengths)[0]
            found[f"{name}/audio"] = SampleAudio(
                samples=waveform.clamp(-1, 1).float().cpu().numpy(),
                sample_rate=self._audio.sample_rate,
            )
        return found
