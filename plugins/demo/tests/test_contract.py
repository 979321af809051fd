"""The contract suite for this plugin."""

from __future__ import annotations

from allophone_testing import CommandContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "demo"


class TestCommands(CommandContract):
    plugin = "demo"
