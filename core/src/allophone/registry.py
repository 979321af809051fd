"""Finds plugins, keeps the broken ones from harming the others, and looks names up.

The registry goes entry point by entry point, each in a try of its own. A plugin that fails is listed
with its reason and its distribution; asking for something of a plugin that is broken, or not
installed, raises an error that says so. Two switches in the environment:

    ALLOPHONE_STRICT_PLUGINS=1       any breakage is fatal (for continuous integration)
    ALLOPHONE_DISABLE_PLUGINS=a,b    leave these plugins out
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import pluggy
from attrs import Factory, define, field, frozen

from allophone import hookspecs
from allophone.entries import (
    CommandEntry,
    CorpusEntry,
    EngineEntry,
    FeatureExtractorEntry,
    ModelEntry,
    NormalizerEntry,
    PhonemizerEntry,
    RecipeEntry,
    Ref,
    TrainerEntry,
    VocoderEntry,
    VoiceEntry,
)
from allophone.errors import PluginError, UserError, near_miss

ENTRY_POINT_GROUP = "allophone.plugins"

KINDS: Mapping[str, type] = {
    "corpora": CorpusEntry,
    "normalizers": NormalizerEntry,
    "phonemizers": PhonemizerEntry,
    "feature_extractors": FeatureExtractorEntry,
    "models": ModelEntry,
    "trainers": TrainerEntry,
    "vocoders": VocoderEntry,
    "voices": VoiceEntry,
    "recipes": RecipeEntry,
    "engines": EngineEntry,
    "commands": CommandEntry,
}
"""What can be registered: the kind, as in the hook `allophone_<kind>`, and the record it takes."""


class Entry(Protocol):
    """What all records have."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...


@frozen(kw_only=True)
class Plugin:
    """One plugin, working or broken.

    distribution: the installable package that it comes in, with its version.
    failure: why it does not work, or None; `cause` is the original exception.
    """

    name: str
    distribution: str
    version: str
    failure: str | None = None
    cause: BaseException | None = field(default=None, eq=False, repr=False)
    entries: Mapping[str, tuple[Any, ...]] = Factory(dict)


@define(eq=False)
class Registry:
    """The plugins of this environment and what they offer."""

    plugins: tuple[Plugin, ...]
    hooks: pluggy.PluginManager

    def entries(self, kind: str) -> Mapping[str, Any]:
        """All working entries of a kind by name."""
        return {
            entry.name: entry for plugin in self.plugins for entry in plugin.entries.get(kind, ())
        }

    def find(self, kind: str, name: str, *, distribution: str | None = None) -> Any:
        """The entry of that kind and name; PluginError with what to do when there is none.

        distribution: where the name is known to come from, as a checkpoint's provenance has it.
        """
        found = self.entries(kind)
        if name in found:
            return found[name]
        singular = _singular(kind)
        broken = [plugin for plugin in self.plugins if plugin.failure]
        for plugin in broken:
            if _family(name) in (plugin.name, plugin.distribution):
                raise PluginError(
                    f"The {singular} '{name}' belongs to the plugin '{plugin.name}', which does not "
                    f"work: {plugin.failure}",
                    hint=f"Mend or reinstall it: pip install --force-reinstall {plugin.distribution}",
                ) from plugin.cause
        hints = [near_miss(name, found)]
        if broken:
            hints.append(f"Broken plugins: {', '.join(plugin.name for plugin in broken)}.")
        if distribution:
            hints.append(f"Install what it came from: pip install {distribution}")
        else:
            hints.append(f"A plugin may have it: pip install allophone-{_family(name)}")
        raise PluginError(
            f"There is no {singular} '{name}'.", hint=" ".join(hint for hint in hints if hint)
        )

    def load(self, kind: str, name: str, attribute: str) -> Any:
        """Import what an entry refers to: `load("models", "whisperer", "config")` is its config class."""
        entry = self.find(kind, name)
        ref: Ref = getattr(entry, attribute)
        try:
            return ref.load()
        except UserError:
            raise
        except Exception as error:
            owner = self.owner(kind, name)
            raise PluginError(
                f"The {_singular(kind)} '{name}' of {owner.distribution} {owner.version} does not "
                f"load: {ref} raises {type(error).__name__}: {error}",
                hint=f"Reinstall it with what it needs: pip install --force-reinstall "
                f"{owner.distribution}",
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
                f"{target} should be the config class of one {_singular(kind)}; it is that of: {names}.",
                hint="Each entry needs a config class of its own, so that its type can be told from it.",
            )
        return found[0]

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that an entry comes from."""
        for plugin in self.plugins:
            if any(entry.name == name for entry in plugin.entries.get(kind, ())):
                return plugin
        raise PluginError(f"No plugin offers the {_singular(kind)} '{name}'.")

    def notify(self, event: Any) -> list[BaseException]:
        """Hand a training event to every observer; what they raise is returned, not raised."""
        failures: list[BaseException] = []
        for implementation in self.hooks.hook.allophone_train_event.get_hookimpls():
            try:
                implementation.function(event)
            except Exception as error:
                failures.append(error)
        return failures


def build_registry(
    extra: Mapping[str, Any] | None = None, *, strict: bool | None = None
) -> Registry:
    """Load the core's own offers and every plugin that is installed.

    extra: further plugin modules by name, as tests and notebooks have them.
    strict: whether a broken plugin is fatal; unless given, ALLOPHONE_STRICT_PLUGINS decides.
    Raises PluginError, when strict, for the first plugin that is broken, or that offers what another
    one offers already.
    """
    manager = pluggy.PluginManager("allophone")
    manager.add_hookspecs(hookspecs)
    if strict is None:
        strict = os.environ.get("ALLOPHONE_STRICT_PLUGINS", "") not in ("", "0")
    plugins: list[Plugin] = []
    for name, distribution, version, load in _candidates(extra or {}):
        try:
            plugin = _register(manager, name, distribution, version, load())
            _refuse_duplicates(plugin, plugins)
        except Exception as error:
            if manager.has_plugin(name):
                manager.unregister(name=name)
            if strict:
                raise PluginError(
                    f"The plugin '{name}' of {distribution} {version} does not work: {error}",
                    hint="Any broken plugin is fatal where ALLOPHONE_STRICT_PLUGINS is set.",
                ) from error
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, PluginError):
                reason = error.message
            plugin = Plugin(
                name=name, distribution=distribution, version=version, failure=reason, cause=error
            )
        plugins.append(plugin)
    return Registry(plugins=tuple(plugins), hooks=manager)


@functools.cache
def default_registry() -> Registry:
    """The registry of this process, built when it is first asked for."""
    return build_registry()


def _candidates(extra: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Name, distribution, version and loader of the core's offers, then of each entry point."""
    version = importlib.metadata.version("allophone")
    yield "core", "allophone", version, lambda: importlib.import_module("allophone.builtin")
    disabled = {name.strip() for name in os.environ.get("ALLOPHONE_DISABLE_PLUGINS", "").split(",")}
    points = sorted(
        importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name
    )
    for point in points:
        if point.name in disabled:
            continue
        distribution = point.dist.name if point.dist else point.value
        yield point.name, distribution, point.dist.version if point.dist else "", point.load
    for name, module in extra.items():
        yield name, name, "", lambda module=module: module


def _register(
    manager: pluggy.PluginManager, name: str, distribution: str, version: str, module: Any
) -> Plugin:
    """Register a module's hooks and collect what they return."""
    _refuse_unknown_hooks(name, module)
    if manager.has_plugin(name):
        raise PluginError(f"Two plugins are called '{name}'; one of them must be uninstalled.")
    manager.register(module, name=name)
    callers = {caller.name for caller in manager.get_hookcallers(module) or ()}
    entries: dict[str, tuple[Any, ...]] = {}
    for kind, record in KINDS.items():
        hook = f"allophone_{kind}"
        if hook in callers:
            entries[kind] = tuple(_checked(hook, record, getattr(module, hook)()))
    return Plugin(name=name, distribution=distribution, version=version, entries=entries)


def _refuse_unknown_hooks(name: str, module: Any) -> None:
    known = {hook for hook in vars(hookspecs) if hook.startswith("allophone_")}
    for attribute in dir(module):
        if not attribute.startswith("allophone_") or attribute in known:
            continue
        if callable(getattr(module, attribute)):
            raise PluginError(
                f"The plugin '{name}' implements '{attribute}', which is no hook.",
                hint=near_miss(attribute, known),
            )


def _checked(hook: str, record: type, returned: Iterable[Any]) -> Iterator[Any]:
    for entry in returned:
        if not isinstance(entry, record):
            raise PluginError(
                f"{hook} returned {entry!r}, which is no {record.__name__}.",
                hint="See allophone.hookspecs for what each hook returns.",
            )
        yield entry


def _refuse_duplicates(plugin: Plugin, others: Iterable[Plugin]) -> None:
    for kind, entries in plugin.entries.items():
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise PluginError(
                    f"{plugin.distribution} offers the {_singular(kind)} '{name}' twice."
                )
            for other in others:
                if any(entry.name == name for entry in other.entries.get(kind, ())):
                    raise PluginError(
                        f"Both {other.distribution} and {plugin.distribution} offer a "
                        f"{_singular(kind)} '{name}'.",
                        hint=f"Uninstall one, or set ALLOPHONE_DISABLE_PLUGINS={plugin.name}.",
                    )


def _singular(kind: str) -> str:
    return {"corpora": "corpus"}.get(kind, kind.removesuffix("s")).replace("_", " ")


def _family(name: str) -> str:
    """The part of a name that tells the plugin: "whisperer" of "whisperer/quiet" and of "whisperer.ar"."""
    return name.split("/")[0].split(".")[0]
