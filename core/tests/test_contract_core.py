"""The core's own offers keep the contracts that it asks of plugins."""

from __future__ import annotations

from allophone.testing import PluginContract, VocoderContract


class TestCore(PluginContract):
    plugin = "core"


class TestGriffinLim(VocoderContract):
    vocoder = "griffin-lim"
