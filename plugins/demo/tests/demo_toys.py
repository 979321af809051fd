"""Three installed voices for a page: tim; mel, who makes mels; and lost, whose weights do not fit."""

from __future__ import annotations

import torch


def installed_voices(toys, folder):
    """The registry that has them; the voices lie below `folder`."""
    stored = {
        "tim": toys.stored_voice(controls={"length_scale": 1.5}),
        "mel": toys.stored_voice(
            name="mel",
            model=toys.ToyMelConfig(),
            speakers=("anna", "boris"),
            languages=("de", "en"),
        ),
        "lost": toys.stored_voice(name="lost", weights={"wrong": torch.ones(1)}),
    }
    registry = toys.toy_registry([(name, "en", folder / name) for name in stored])
    for name, voice in stored.items():
        toys.write_voice(folder / name, voice, registry=registry)
    return registry
