"""Finding and opening the codec of `[model.codec]`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from attrs import frozen

from allophone.errors import UserError, near_miss
from allophone.inference.locate import find_vocoder
from allophone.registry import Registry
from allophone_valle.codec_config import FAKE, PUBLISHED, CodecArchitecture, CodecConfig
from allophone_valle.codecs import published, trained
from allophone_valle.codecs.fake import FakeCodec
from allophone_valle.codecs.protocol import Codec, CodecFormat


@frozen(kw_only=True)
class FoundCodec:
    """A codec that has been found but not opened; its format is already known."""

    format: CodecFormat
    open: Callable[[torch.device], Codec]


def open_codec(
    config: CodecConfig, *, device: torch.device, registry: Registry, folder: Path | None = None
) -> Codec:
    """Find and open a codec on a device; see `find_codec`."""
    return find_codec(config, registry=registry, folder=folder).open(device)


def find_codec(
    config: CodecConfig, *, registry: Registry, folder: Path | None = None
) -> FoundCodec:
    """Find a codec without building it.

    folder: the voice folder, in which relative paths are searched first. Raises UserError if there is no
    codec or its fingerprint is not `config.fingerprint`.
    """
    found = _find(config, registry, folder)
    if config.fingerprint not in (None, found.format.fingerprint):
        raise UserError(
            f"The codec '{config.place}' has the fingerprint {found.format.fingerprint}, but the model "
            f"needs {config.fingerprint}.",
            hint="Set model.codec.place and model.codec.weights to the codec that the model was trained "
            "with.",
        )
    return found


def _find(config: CodecConfig, registry: Registry, folder: Path | None) -> FoundCodec:
    if config.place == FAKE:
        fake = FakeCodec.from_config(config.fake)
        return FoundCodec(format=fake, open=lambda _: fake)
    if config.place == PUBLISHED:
        return FoundCodec(
            format=published.format_of(config),
            open=lambda device: published.open_published(config, device),
        )
    place = Path(config.place).expanduser()
    if folder is not None and (folder / place).exists():
        place = folder / place
    return _find_trained(place, registry)


def _find_trained(place: Path, registry: Registry) -> FoundCodec:
    if not place.exists():
        raise UserError(
            f"Codec '{place}' not found: it must be '{PUBLISHED}', or the path of a codec folder, run or checkpoint.",
            hint=near_miss(str(place), (PUBLISHED, FAKE)),
        )
    stored = find_vocoder(place, registry).read(registry)
    if not isinstance(stored.description.vocoder, CodecArchitecture):
        raise UserError(
            f"{place} is a mel vocoder, not a codec.",
            hint="Train a codec with the recipe valle/codec-tiny.",
        )
    spec, weights = stored.spec, stored.weights
    return FoundCodec(
        format=trained.format_of(spec, weights),
        open=lambda device: trained.build_vocoder(spec, weights, device).codec,
    )
