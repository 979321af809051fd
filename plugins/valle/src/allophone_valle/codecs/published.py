"""EnCodec at 24 kHz as its authors trained it (Defossez et al. 2022), through their own package.

Legend: B batch, N samples, Q codebooks, F frames.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from attrs import asdict, frozen
from encodec.model import ROOT_URL, EncodecModel
from torch import Tensor

from allophone.errors import ConfigError, UserError
from allophone.foreign.files import read_module
from allophone.weights import load_weights
from allophone_valle.codec_config import CodecConfig
from allophone_valle.codecs.causal import CausalCodec
from allophone_valle.codecs.protocol import CodecFormat

WEIGHTS = "encodec_24khz-d7cc33bc.th"
"""The published file; its name ends with the beginning of its SHA-256."""

CODEBOOKS = {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}
"""How many a bandwidth in kbit/s allows: each takes 10 bits, 75 times a second."""

_DIGITS = 8

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class PublishedNetwork:
    """The package's model, at one bandwidth."""

    model: EncodecModel

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, N] of whole frames -> codes [B, Q, F]."""
        ((codes, _),) = self.model.encode(waveform.unsqueeze(1))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, N]."""
        return self.model.decode([(codes, None)]).squeeze(1)


def format_of(config: CodecConfig) -> CodecFormat:
    """What its codes are, known before it is opened, and before its weights are downloaded.

    Raises ConfigError for a bandwidth that it does not have, UserError for a file that is not there.
    """
    if config.bandwidth not in CODEBOOKS:
        raise ConfigError(
            f"model.codec.bandwidth is {config.bandwidth:g} kbit/s, and EnCodec has none such",
            hint=f"It has {', '.join(f'{each:g}' for each in CODEBOOKS)}.",
        )
    codebooks = CODEBOOKS[config.bandwidth]
    digest = Path(WEIGHTS).stem[-_DIGITS:] if config.weights is None else _digest(config.weights)
    return CodecFormat(
        sample_rate=24000,
        hop_length=320,
        codebooks=codebooks,
        bins=1024,
        fingerprint=f"encodec-24khz-{digest}-{codebooks}",
    )


def open_published(config: CodecConfig, device: torch.device) -> CausalCodec:
    """Load it; UserError for weights that are not there, cannot be had, or do not fit."""
    described = format_of(config)
    weights = _downloaded() if config.weights is None else Path(config.weights).expanduser()
    model = EncodecModel.encodec_model_24khz(pretrained=False)
    load_weights(model, read_module(weights), where=str(weights))
    _log.warning(
        "EnCodec's package is licensed CC-BY-NC-4.0, for non-commercial use; what its weights may be "
        "used for, their authors have not said."
    )
    return codec_of(model, described, config.bandwidth, device)


def codec_of(
    model: EncodecModel, described: CodecFormat, bandwidth: float, device: torch.device
) -> CausalCodec:
    """A model of the package as a codec."""
    model.set_target_bandwidth(bandwidth)
    model.to(device).eval().requires_grad_(False)
    return CausalCodec(**asdict(described), network=PublishedNetwork(model=model))


def _digest(weights: str) -> str:
    path = Path(weights).expanduser()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise UserError(
            f"The weights of EnCodec cannot be read: {error}",
            hint="model.codec.weights must be the path of the published file, "
            f"{ROOT_URL}{WEIGHTS}; without it, it is downloaded.",
        ) from error


def _downloaded() -> Path:
    """The published weights in PyTorch's cache, where the package keeps them too."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            ROOT_URL + WEIGHTS, str(path), Path(WEIGHTS).stem[-_DIGITS:], progress=False
        )
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"EnCodec's weights are not on this machine, and could not be downloaded: {error}",
            hint=f"Download {ROOT_URL}{WEIGHTS} elsewhere, and put it at {path}, or anywhere, with "
            "model.codec.weights saying where.",
        ) from error
    return path
