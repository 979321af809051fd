"""What Allophone promises its users of every plugin, kept by this one."""

from __future__ import annotations

from typing import ClassVar

from allophone_testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "labels"
    required: ClassVar = {"voice": "runs/vits"}
