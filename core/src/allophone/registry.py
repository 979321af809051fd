"""The registry: looks up the entries that plugins offer.

Plugins that are broken, or written for another version of the hook contract, are listed with the reason; the
others work. If a look-up fails, the error names the plugins that may provide what is missing. Environment
variables:

    ALLOPHONE_STRICT_PLUGINS=1       treat broken plugins and conflicts as errors (for CI)
    ALLOPHONE_DISABLE_PLUGINS=a,b    disable these plugins
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pluggy
from attrs import define, field, frozen

from allophone import hookspecs
from allophone.entries import Ref, singular
from allophone.errors import PluginError, UserError, near_miss
from allophone.plugin import (
    DISABLE,
    Plugin,
    failure_location,
    is_distribution_name,
    missing_module,
    references,
)
from allophone.plugin_loading import OBSERVER, load_plugins

_FAMILIES = ("models", "trainers", "recipes", "vocoders", "phonemizers", "engines")
"""The kinds whose entry names begin with a family, from which the distribution can be guessed."""


@frozen(kw_only=True)
class ObserverFailure:
    """An exception raised by an observer of a training run.

    observer: a description of the observer: "'mail' of allophone-mail 1.2".
    location: the "file:line" of its origin, or None.
    """

    observer: str
    error: Exception
    location: str | None

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location else ""
        return f"{type(self.error).__name__}: {self.error}{where}"


@define(eq=False)
class Registry:
    """The plugins of this environment and their entries."""

    plugins: tuple[Plugin, ...]
    hooks: pluggy.PluginManager
    _reported: set[tuple[str, str]] = field(factory=set, init=False)

    def entries(self, kind: str) -> Mapping[str, Any]:
        """All entries of a kind by name."""
        return {
            entry.name: entry for plugin in self.plugins for entry in plugin.entries.get(kind, ())
        }

    def find(self, kind: str, name: str, *, distribution: str | None = None) -> Any:
        """Find an entry by kind and name; raises the error from `missing` if there is none.

        distribution: the distribution that is known to provide it, such as from a checkpoint's provenance.
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
        """Build the error for an unknown name: suggestions, plugins that may provide it, what to install.

        message: by default, "There is no <kind> '<name>'."
        known: the names to suggest from; by default those of all entries of the kind.
        distribution: the distribution that is known to provide it.
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
        """Yield hints that name broken and disabled plugins, which may provide what is missing."""
        broken = [plugin.name for plugin in self.plugins if plugin.state == "broken"]
        if broken:
            yield f"It may be in a broken plugin: {', '.join(broken)}; see: allophone plugins"
        disabled = [plugin.name for plugin in self.plugins if plugin.state == "disabled"]
        if disabled:
            yield f"It may be in a disabled plugin: {', '.join(disabled)}; unset {DISABLE}"

    def _installation(self, distribution: str | None, guess: str | None) -> str | None:
        """The hint that says what to install, if known."""
        installed = {plugin.distribution: plugin.version for plugin in self.plugins}
        if distribution is None:
            if guess is None or guess in installed:
                return None
            return f"A plugin may provide it: pip install {guess}"
        if not is_distribution_name(distribution):
            return None
        if distribution in installed:
            return (
                f"It was provided by another version of {distribution} than {installed[distribution]}: "
                f"pip install --upgrade {distribution}"
            )
        return f"Install the package that provides it: pip install {distribution}"

    def load(self, kind: str, name: str, attribute: str) -> Any:
        """Import what an entry refers to: `load("models", "whisperer", "config")` is its config class.

        attribute: a name as in `entries.references`: "config", "importers.original.importer".

        Raises PluginError, with what to do, if the import fails.
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
                    f"package '{missing_module(error)}', which is not installed.",
                    hint=f"pip install '{extra}'",
                ) from error
            location = failure_location(error, owner.package)
            where = f" ({location})" if location else ""
            raise PluginError(
                f"The {singular(kind)} '{name}' of {owner.distribution} {owner.version} does not "
                f"load: {ref} raises {type(error).__name__}: {error}{where}",
                hint=owner.advice_for(error),
            ) from error

    def entry_of(self, kind: str, config: Any) -> Any:
        """Find the entry that a config object belongs to, by its class.

        Raises PluginError if no entry, or more than one, has that config class.
        """
        cls = type(config)
        target = f"{cls.__module__}:{cls.__qualname__}"
        entries = self.entries(kind).values()
        # Names are compared first to avoid importing the config modules of other plugins.
        found = [entry for entry in entries if entry.config.target == target]
        found = found or [entry for entry in entries if entry.config.load() is cls]
        if len(found) != 1:
            names = ", ".join(entry.name for entry in found) or "none"
            raise PluginError(
                f"{target} must be the config class of exactly one {singular(kind)}, but it is that of: "
                f"{names}.",
                hint="Give each entry its own config class; subclass it if necessary.",
            )
        return found[0]

    def owner(self, kind: str, name: str) -> Plugin:
        """Find the plugin that provides an entry."""
        for plugin in self.plugins:
            if any(entry.name == name for entry in plugin.entries.get(kind, ())):
                return plugin
        raise PluginError(f"No plugin offers the {singular(kind)} '{name}'.")

    def describe_failure(self, kind: str, name: str, error: Exception, *, where: str = "") -> str:
        """Describe what the code of an entry raised: "The metric 'x' of allophone-y 1.0 fails: ... (file:line)".

        where: what failed, such as " for epoch 3". A ValueError is shown without its type.
        """
        owner = self.owner(kind, name)
        location = failure_location(error, owner.package)
        what = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        source = f"{owner.distribution} {owner.version}".rstrip()
        shown = f"The {singular(kind)} '{name}' of {source} fails{where}: {what}"
        return f"{shown} ({location})" if location else shown

    def notify(self, event: Any) -> list[ObserverFailure]:
        """Pass a training event to every observer; return the exceptions they raise."""
        plugins = {plugin.name: plugin for plugin in self.plugins}
        failures = []
        for implementation in getattr(self.hooks.hook, OBSERVER).get_hookimpls():
            # As in pluggy, an implementation may omit the argument.
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
        """Warn once if another plugin offers an entry of the same name."""
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
    """Load the core's entries and all installed plugins.

    extra: additional plugin modules by name, for tests and notebooks.
    strict: whether broken plugins and conflicts are errors; by default as ALLOPHONE_STRICT_PLUGINS says.

    Raises PluginError, if strict, for the first plugin that is broken or has a conflict.
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
    """Return the registry of this process, built on first use."""
    return build_registry()


def _family(name: str) -> str:
    """Return the family in a name: "whisperer" for "whisperer/quiet" and "whisperer.ar"."""
    return name.split("/")[0].split(".")[0]


def _distribution_of(kind: str, name: str) -> str | None:
    """Guess the distribution that provides an entry, by the naming rules in docs/writing-plugins.md."""
    if kind == "corpora":
        return f"allophone-{kind}"
    if kind == "voices":
        # A name with a dot or a slash is probably a path.
        guess = "" if set(name) & set("./") else f"allophone-voice-{name}"
    else:
        guess = f"allophone-{_family(name)}" if kind in _FAMILIES else ""
    return guess if is_distribution_name(guess) else None
