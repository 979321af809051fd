"""Looks up what the plugins offer; an error says which of them may have what is missing.

A plugin that is broken, or written for another version of the hook contract, is listed with its reason
and its distribution; the others work. Two switches in the environment:

    ALLOPHONE_STRICT_PLUGINS=1       anything broken or in conflict is fatal (for continuous integration)
    ALLOPHONE_DISABLE_PLUGINS=a,b    leave these plugins out
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pluggy
from attrs import define, field, frozen

from allophone import hookspecs
from allophone.entries import Ref, references, singular
from allophone.errors import PluginError, UserError, near_miss
from allophone.plugin import (
    DISABLE,
    Plugin,
    absent_module,
    failure_location,
    is_distribution_name,
)
from allophone.plugin_loading import OBSERVER, load_plugins

_FAMILIES = ("models", "trainers", "recipes", "vocoders", "phonemizers", "engines")
"""The kinds whose entries are named after the family, and so after the distribution, that they come from."""


@frozen(kw_only=True)
class ObserverFailure:
    """What an observer of a training run raised.

    observer: which one, as text: "'mail' of allophone-mail 1.2".
    location: the "file:line" that it came from, or None.
    """

    observer: str
    error: Exception
    location: str | None

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location else ""
        return f"{type(self.error).__name__}: {self.error}{where}"


@define(eq=False)
class Registry:
    """The plugins of this environment and what they offer."""

    plugins: tuple[Plugin, ...]
    hooks: pluggy.PluginManager
    _reported: set[tuple[str, str]] = field(factory=set, init=False)

    def entries(self, kind: str) -> Mapping[str, Any]:
        """All working entries of a kind by name."""
        return {
            entry.name: entry for plugin in self.plugins for entry in plugin.entries.get(kind, ())
        }

    def find(self, kind: str, name: str, *, distribution: str | None = None) -> Any:
        """The entry of that kind and name; the error of `missing` where there is none.

        distribution: where the name is known to come from, as a checkpoint's provenance has it.
        """
        found = self.entries(kind)
        if name not in found:
            raise self.missing(kind, name, distribution=distribution)
        self._report_conflicts(kind, name)
        return found[name]

    def missing(
        self,
        kind: str,
        name: str,
        *,
        message: str | None = None,
        known: Iterable[str] | None = None,
        distribution: str | None = None,
    ) -> PluginError:
        """The error for a name that nothing has: near misses, plugins that may have it, what to install.

        message: what was looked for, where "There is no voice 'x'." would not say it all.
        known: the names that it is compared with, where they are not those of all entries of the kind.
        distribution: where the name is known to come from.
        """
        message = message or f"There is no {singular(kind)} '{name}'."
        guess = _distribution_of(kind, name)
        wanted = (_family(name), guess, distribution)
        for plugin in self.plugins:
            if plugin.state == "works":
                continue
            if plugin.name in wanted or plugin.distribution in wanted:
                state = "is disabled" if plugin.disabled else f"does not work: {plugin.failure}"
                error = PluginError(
                    f"{message} It may be in the plugin '{plugin.name}', which {state}",
                    hint=plugin.advice,
                )
                error.__cause__ = plugin.cause
                return error
        hints = [near_miss(name, self.entries(kind) if known is None else known)]
        hints += self.unavailable()
        hints.append(self._installation(distribution, guess))
        if kind == "feature_extractors" and distribution is None:
            # The name of a feature does not tell which package computes it.
            extra = next(filter(None, (plugin.features_extra for plugin in self.plugins)), None)
            hints.append(extra and f"A plugin may offer it: pip install '{extra}'")
        return PluginError(message, hint="\n".join(hint for hint in hints if hint) or None)

    def unavailable(self) -> Iterator[str]:
        """Hints that name the broken and the disabled plugins, in which something missing may be."""
        broken = [plugin.name for plugin in self.plugins if plugin.state == "broken"]
        if broken:
            yield f"It may be in a broken plugin: {', '.join(broken)}; see: allophone plugins"
        disabled = [plugin.name for plugin in self.plugins if plugin.state == "disabled"]
        if disabled:
            yield f"It may be in a disabled plugin: {', '.join(disabled)}; unset {DISABLE}"

    def _installation(self, distribution: str | None, guess: str | None) -> str | None:
        """What to install; a name out of a file goes into a command only if it is one."""
        installed = {plugin.distribution: plugin.version for plugin in self.plugins}
        if distribution is None:
            if guess is None or guess in installed:
                return None
            return f"A plugin may offer it: pip install {guess}"
        if not is_distribution_name(distribution):
            return None
        if distribution in installed:
            return (
                f"It came from another version of {distribution} than {installed[distribution]}: "
                f"pip install --upgrade {distribution}"
            )
        return f"Install what it came from: pip install {distribution}"

    def load(self, kind: str, name: str, attribute: str) -> Any:
        """Import what an entry refers to: `load("models", "whisperer", "config")` is its config class.

        attribute: as `entries.references` names it, so "importers.original.importer" too.
        Raises PluginError, with what to do, where the import fails.
        """
        ref: Ref = dict(references(self.find(kind, name)))[attribute]
        try:
            return ref.load()
        except UserError:
            raise
        except Exception as error:
            owner = self.owner(kind, name)
            if extra := owner.extra_for(error):
                raise PluginError(
                    f"The {singular(kind)} '{name}' of {owner.distribution} {owner.version} needs the "
                    f"package '{absent_module(error)}', which is not installed.",
                    hint=f"pip install '{extra}'",
                ) from error
            location = failure_location(error, owner.package)
            where = f" ({location})" if location else ""
            raise PluginError(
                f"The {singular(kind)} '{name}' of {owner.distribution} {owner.version} does not "
                f"load: {ref} raises {type(error).__name__}: {error}{where}",
                hint=owner.advice_on(error),
            ) from error

    def entry_of(self, kind: str, config: Any) -> Any:
        """The entry whose config class is that of `config`, which tells the type of a table.

        Raises PluginError where none, or more than one, has it.
        """
        cls = type(config)
        target = f"{cls.__module__}:{cls.__qualname__}"
        entries = self.entries(kind).values()
        # Comparing names first keeps other plugins' config modules unimported.
        found = [entry for entry in entries if entry.config.target == target]
        found = found or [entry for entry in entries if entry.config.load() is cls]
        if len(found) != 1:
            names = ", ".join(entry.name for entry in found) or "none"
            raise PluginError(
                f"{target} should be the config class of one {singular(kind)}; it is that of: {names}.",
                hint="Each entry needs a config class of its own, so that its type can be told from it.",
            )
        return found[0]

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that an entry comes from."""
        for plugin in self.plugins:
            if any(entry.name == name for entry in plugin.entries.get(kind, ())):
                return plugin
        raise PluginError(f"No plugin offers the {singular(kind)} '{name}'.")

    def notify(self, event: Any) -> list[ObserverFailure]:
        """Hand a training event to every observer; what they raise is returned, not raised."""
        plugins = {plugin.name: plugin for plugin in self.plugins}
        failures = []
        for implementation in getattr(self.hooks.hook, OBSERVER).get_hookimpls():
            # As with pluggy's own calls, an implementation may leave the argument out.
            arguments = [event][: len(implementation.argnames)]
            try:
                implementation.function(*arguments)
            except Exception as error:
                plugin = plugins.get(implementation.plugin_name)
                observer = type(implementation.plugin)
                package = plugin.package if plugin else observer.__module__.partition(".")[0]
                failures.append(
                    ObserverFailure(
                        observer=str(plugin) if plugin else observer.__qualname__,
                        error=error,
                        location=failure_location(error, package),
                    )
                )
        return failures

    def _report_conflicts(self, kind: str, name: str) -> None:
        """Say once of an entry that another plugin offers the same name."""
        if (kind, name) in self._reported:
            return
        self._reported.add((kind, name))
        for plugin in self.plugins:
            for conflict in plugin.conflicts:
                if (conflict.kind, conflict.name) == (kind, name):
                    import logging

                    logger = logging.getLogger(__name__)
                    logger.warning("%s %s", conflict.message, conflict.advice)


def build_registry(
    extra: Mapping[str, Any] | None = None, *, strict: bool | None = None
) -> Registry:
    """Load the core's own offers and every plugin that is installed.

    extra: further plugin modules by name, as tests and notebooks have them.
    strict: whether a broken plugin or a conflict is fatal; unless given, ALLOPHONE_STRICT_PLUGINS decides.
    Raises PluginError, when strict, for the first plugin that is broken, or that offers what another
    one offers already.
    """
    manager = pluggy.PluginManager("allophone")
    manager.add_hookspecs(hookspecs)
    plugins = load_plugins(
        manager, extra or {}, strict=strict_plugins() if strict is None else strict
    )
    return Registry(plugins=plugins, hooks=manager)


def strict_plugins() -> bool:
    """Whether ALLOPHONE_STRICT_PLUGINS is set."""
    return os.environ.get("ALLOPHONE_STRICT_PLUGINS", "") not in ("", "0")


@functools.cache
def default_registry() -> Registry:
    """The registry of this process, built when it is first asked for."""
    return build_registry()


def _family(name: str) -> str:
    """The part of a name that tells the plugin: "whisperer" of "whisperer/quiet" and of "whisperer.ar"."""
    return name.split("/")[0].split(".")[0]


def _distribution_of(kind: str, name: str) -> str | None:
    """What a plugin with that entry would be called if its author followed docs/writing-plugins.md."""
    if kind == "corpora":
        return f"allophone-{kind}"
    if kind == "voices":
        # What has a dot or a slash is rather the path of a folder or a file.
        guess = "" if set(name) & set("./") else f"allophone-voice-{name}"
    else:
        guess = f"allophone-{_family(name)}" if kind in _FAMILIES else ""
    return guess if is_distribution_name(guess) else None
