"""The contract suite for this plugin."""

from __future__ import annotations

from allophone_testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "voice-asterisk"
