"""Feature extractor of codec codes.

Legend: N samples, Q codebooks, F frames of codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from allophone.data.manifest import Utterance
from allophone.errors import ConfigError
from allophone.features.protocol import ExtractionContext
from allophone.registry import default_registry
from allophone_valle.codec_config import CodecConfig, CodesConfig
from allophone_valle.codecs.opening import find_codec
from allophone_valle.codecs.protocol import Codec, check_audio, encode_in_batches
from allophone_valle.config import ValleConfig

CPU_BATCH_SECONDS = 0.0
"""One recording at a time: batches take up to twice as long with EnCodec on a CPU."""

GPU_BATCH_SECONDS = 240.0
"""Audio per batch on a GPU, including padding."""


class CodesExtractor:
    """Codes of a recording by the codec of `[model.codec]`: int16 [F, Q], F = ceil(N / hop_length).

    The cache key includes the codec's fingerprint, so codes of different codecs are never mixed up. Codes
    are computed on a GPU if there is one; there, ties between codebook entries may resolve differently.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: CodesConfig, context: ExtractionContext) -> None:
        """Raise ConfigError if the model has no codec or `[audio]` does not fit it, UserError if it is missing."""
        del config
        codec = getattr(context.model, "codec", None)
        if not isinstance(codec, CodecConfig):
            raise ConfigError(
                "[features.codes] needs a model with a codec, but the model of this experiment has none",
                hint="Use a model with a table [model.codec], such as 'valle', or remove the feature.",
            )
        self._context = context
        self._found = find_codec(codec, registry=default_registry())
        check_audio(self._found.format, context.audio)
        if isinstance(context.model, ValleConfig):
            context.model.check_codes(
                codebooks=self._found.format.codebooks, bins=self._found.format.bins
            )
        self.key: Mapping[str, Any] = {
            "version": 1,
            "codec": self._found.format.fingerprint,
            "recording": dict(context.audio_key),
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.int16]]:
        """Yield one array per utterance."""
        device = _device()
        waveforms = [
            torch.from_numpy(self._context.load_audio(utterance)).to(device)
            for utterance in utterances
        ]
        batch_seconds = CPU_BATCH_SECONDS if device.type == "cpu" else GPU_BATCH_SECONDS
        for codes in encode_in_batches(self._codec, waveforms, batch_seconds=batch_seconds):
            yield codes.T.cpu().numpy().astype(np.int16)

    @cached_property
    def _codec(self) -> Codec:
        """The codec, opened on first use: training needs only its fingerprint."""
        return self._found.open(_device())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
