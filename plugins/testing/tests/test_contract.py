from __future__ import annotations

from allophone_testing import CommandContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "testing"


class TestCommands(CommandContract):
    plugin = "testing"
