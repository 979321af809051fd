"""The codes of utterances, for the feature store.

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
from allophone_valle.codecs.protocol import Codec, check_audio, encode_separately
from allophone_valle.config import ValleConfig

CPU_BATCH_SECONDS = 0.0
"""Each recording by itself: in batches EnCodec takes up to twice as long on a CPU."""

GPU_BATCH_SECONDS = 240.0
"""Of audio at a time elsewhere, padding counted."""


class CodesExtractor:
    """What the codec of `[model.codec]` makes of a recording: int16 [F, Q], F = ceil(N / hop_length).

    Stored for the codec's fingerprint, so the codes of another codec are never taken for its own. They
    are computed on a GPU where there is one; there a code may differ where two are equally near.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: CodesConfig, context: ExtractionContext) -> None:
        """ConfigError where `[audio]` is not the codec's; UserError where there is no codec."""
        del config
        codec = getattr(context.model, "codec", None)
        if not isinstance(codec, CodecConfig):
            raise ConfigError(
                "[features.codes] is for models that speak through a codec, and [model] has none",
                hint="Use it with a model that has the table [model.codec], such as 'valle'.",
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
        """One array an utterance."""
        device = _device()
        waveforms = [
            torch.from_numpy(self._context.load_audio(utterance)).to(device)
            for utterance in utterances
        ]
        batch_seconds = CPU_BATCH_SECONDS if device.type == "cpu" else GPU_BATCH_SECONDS
        for codes in encode_separately(self._codec, waveforms, batch_seconds=batch_seconds):
            yield codes.T.cpu().numpy().astype(np.int16)

    @cached_property
    def _codec(self) -> Codec:
        """The codec, opened when it is first asked: training wants nothing but its fingerprint."""
        return self._found.open(_device())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
