"""`allophone vocode`: converts mels to audio with a vocoder, or resynthesizes recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.cli.options import parse_controls
from allophone.errors import UserError

if TYPE_CHECKING:
    from allophone.inference.mel_sources import MelSource

_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("vocode")
@click.option(
    "--vocoder",
    "place",
    required=True,
    metavar="VOCODER",
    help="A vocoder folder, a run, a checkpoint, or griffin-lim.",
)
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Resynthesize the recordings of a manifest's split.",
)
@click.option("--split", default="test", show_default=True, help="The split of --manifest.")
@click.option(
    "--features",
    type=_folder,
    help="Vocode a folder of mels, <id>.npy; or its folder mels.",
)
@click.option("--audio", type=_folder, help="Resynthesize a folder of recordings.")
@click.option(
    "--like",
    metavar="PLACE",
    help="Use the MelSpec of this recipe, run, voice or vocoder; for vocoders that need no training.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The output folder for WAV files and made.jsonl.",
)
@click.option(
    "--batch-size",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="The number of mels per batch.",
)
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="NAME=VALUE",
    help="A control of the vocoder, such as steps=12; may be repeated.",
)
@click.option("--device", default="cpu", show_default=True, help="Such as cpu, cuda or cuda:1.")
def command(
    place: str,
    manifest: Path | None,
    split: str,
    features: Path | None,
    audio: Path | None,
    like: str | None,
    out: Path,
    batch_size: int,
    controls: tuple[str, ...],
    device: str,
) -> None:
    """Convert mel spectrograms to audio with a vocoder.

    The mels are read from a folder, or computed from recordings. Files that are up to date are skipped, so an
    interrupted command can be resumed by running it again. Items that fail are reported, and the exit status
    is then 1.
    """
    from allophone.cli.console import console, track
    from allophone.cli.reporting import end_with_failures
    from allophone.inference.devices import parse_device
    from allophone.inference.mel_sources import folder_of_mels
    from allophone.inference.vocoders import controls_of, fingerprint
    from allophone.inference.vocoding import open_vocoder, vocode_all
    from allophone.registry import default_registry

    registry = default_registry()
    features = features and folder_of_mels(features)
    torch_device = parse_device(device)
    sources = _sources(manifest, split, features, audio)
    vocoder = open_vocoder(
        place,
        device=torch_device,
        registry=registry,
        features=features,
        like=like,
        controls=parse_controls(controls, example="steps=12"),
    )
    provenance: dict[str, Any] = {"vocoder": place, "weights": fingerprint(place, registry)}
    if chosen := controls_of(vocoder, registry):
        provenance["controls"] = chosen
    report = vocode_all(
        vocoder,
        sources,
        out,
        provenance=provenance,
        device=torch_device,
        batch_size=batch_size,
        track=track,
    )
    for note, count in sorted(report.notes.items()):
        console.print(f"{count:,} recordings: {note}")
    console.print(
        f"Wrote {report.made} files, skipped {report.skipped} that were up to date: {out}"
    )
    end_with_failures(report.failures, "could not be vocoded", out)


def _sources(
    manifest: Path | None, split: str, features: Path | None, audio: Path | None
) -> tuple[MelSource, ...]:
    from allophone.inference.mel_sources import mels_in, recordings_in, recordings_of
    from allophone.synthesis.requests import utterances_of_split

    given = [one for one in (manifest, features, audio) if one is not None]
    if len(given) != 1:
        raise UserError("Give exactly one of --manifest, --features and --audio.")
    if manifest:
        return recordings_of(utterances_of_split(manifest, split))
    return mels_in(features) if features else recordings_in(given[0])
