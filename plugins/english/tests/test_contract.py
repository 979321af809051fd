"""What Allophone promises its users of every plugin, kept by this one."""

from __future__ import annotations

from typing import ClassVar

from allophone_testing import NormalizerContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "english"


class TestEnglish(NormalizerContract):
    language = "en"
    examples: ClassVar = {
        "10 boats came home.": "ten boats came home.",
        "It costs $5.50.": "It costs five dollars and fifty cents.",
        "Dr. Smith, born on Jan. 5th, 1905": "Doctor Smith, born on January fifth, nineteen oh five",
    }
