"""What Allophone promises of every plugin, kept by this one."""

from __future__ import annotations

from allophone.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "voice-joe"
