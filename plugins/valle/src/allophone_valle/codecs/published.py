"""The published EnCodec at 24 kHz (Defossez et al. 2022), using the authors' package.

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
from allophone.foreign.files import read_state_dict
from allophone.weights.loading import load_weights
from allophone_valle.codec_config import CodecConfig
from allophone_valle.codecs.causal import CausalCodec
from allophone_valle.codecs.protocol import CodecFormat

WEIGHTS = "encodec_24khz-d7cc33bc.th"
"""File name of the published weights; ends with the first digits of their SHA-256."""

CODEBOOKS = {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}
"""Number of codebooks by bandwidth in kbit/s: 10 bits per code at 75 frames per second."""

_DIGITS = 8

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class PublishedNetwork:
    """The package's model at a fixed bandwidth."""

    model: EncodecModel

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, N] of whole frames -> codes [B, Q, F]."""
        ((codes, _),) = self.model.encode(waveform.unsqueeze(1))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, N]."""
        return self.model.decode([(codes, None)]).squeeze(1)


def format_of(config: CodecConfig) -> CodecFormat:
    """Return the format without opening the codec or downloading its weights.

    Raises ConfigError for an unsupported bandwidth, UserError if `config.weights` cannot be read.
    """
    if config.bandwidth not in CODEBOOKS:
        raise ConfigError(
            f"EnCodec does not support model.codec.bandwidth = {config.bandwidth:g} (kbit/s)",
            hint=f"Use one of {', '.join(f'{each:g}' for each in CODEBOOKS)}.",
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
    """Load the codec; UserError if its weights are missing, cannot be downloaded or do not fit."""
    described = format_of(config)
    weights = _downloaded() if config.weights is None else Path(config.weights).expanduser()
    model = EncodecModel.encodec_model_24khz(pretrained=False)
    load_weights(model, read_state_dict(weights), where=str(weights))
    _log.warning(
        "The package encodec is licensed under CC-BY-NC-4.0 (non-commercial use only); the licence of its "
        "weights is not stated."
    )
    return codec_of(model, described, config.bandwidth, device)


def codec_of(
    model: EncodecModel, described: CodecFormat, bandwidth: float, device: torch.device
) -> CausalCodec:
    """Wrap a model of the package as a codec."""
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
            f"Cannot read the weights of EnCodec: {error}",
            hint=f"Set model.codec.weights to a copy of {ROOT_URL}{WEIGHTS}, or leave it out to download "
            "that file.",
        ) from error


def _downloaded() -> Path:
    """Path of the published weights in PyTorch's cache, downloaded if needed."""
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
            f"Cannot download the weights of EnCodec: {error}",
            hint=f"Download {ROOT_URL}{WEIGHTS} on another machine and copy it to {path}, or set "
            "model.codec.weights to its path.",
        ) from error
    return path
