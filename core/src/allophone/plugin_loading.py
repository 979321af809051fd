"""Loads plugins and checks their hooks. A broken plugin does not affect the others.

Entry points are loaded one by one, because `PluginManager.load_setuptools_entrypoints` stops at the first error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pluggy
from attrs import evolve

from allophone import hookspecs
from allophone.entries import KINDS
from allophone.errors import PluginError, UserError, near_miss
from allophone.plugin import (
    CORE,
    DISABLE,
    ContractError,
    HookError,
    Plugin,
    conflict_between,
    disabled_names,
    failure_location,
)

ENTRY_POINT_GROUP = "allophone.plugins"

OBSERVER = "allophone_train_event"

_HOOKS = {name for name in vars(hookspecs) if name.startswith("allophone_")}

Loader = Callable[[], Any]


def load_plugins(
    manager: pluggy.PluginManager, extra: Mapping[str, Any], *, strict: bool
) -> tuple[Plugin, ...]:
    """Load the core's entries, then the installed plugins by name, then the modules in `extra`.

    The result includes broken and disabled plugins, and those with conflicts. If `strict`, raises PluginError for
    the first that is broken or has a conflict.
    """
    plugins: list[Plugin] = []
    for found, load in _candidates(extra):
        plugin = found if found.disabled else _load(manager, found, load, plugins)
        if strict:
            _raise_if_broken(plugin)
        plugins.append(plugin)
    _warn_of_unknown_names(plugins)
    return tuple(plugins)


def _candidates(extra: Mapping[str, Any]) -> Iterator[tuple[Plugin, Loader]]:
    """Yield all plugins in order of precedence, each with a function that imports its module."""
    core = Plugin(
        name="core", module="allophone.builtin", dist=importlib.metadata.distribution(CORE)
    )
    yield core, lambda: importlib.import_module(core.module)
    disabled = disabled_names()
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        plugin = Plugin(
            name=point.name,
            module=point.module,
            dist=point.dist,
            disabled=point.name in disabled,
        )
        yield plugin, point.load
    for name, module in extra.items():
        plugin = Plugin(
            name=name, module=getattr(module, "__name__", name), disabled=name in disabled
        )
        yield plugin, partial(_identity, module)


def _identity(module: Any) -> Any:
    return module


def _load(
    manager: pluggy.PluginManager, plugin: Plugin, load: Loader, others: Iterable[Plugin]
) -> Plugin:
    """Load a plugin's entries, except those that conflict with others; errors are stored in the result."""
    plugin = _with_unique_name(plugin, others)
    try:
        plugin = _register(manager, plugin, load())
    except (Exception, SystemExit) as error:
        if manager.has_plugin(plugin.name):
            manager.unregister(name=plugin.name)
        return evolve(
            plugin,
            failure=_reason(error),
            location=failure_location(error, plugin.package),
            cause=error,
        )
    return _without_conflicts(plugin, others)


def _with_unique_name(plugin: Plugin, others: Iterable[Plugin]) -> Plugin:
    """Append the module to the name of a plugin if another has the same name."""
    first = next((other for other in others if other.name == plugin.name), None)
    if first is None:
        return plugin
    conflict = conflict_between(first, plugin, "plugins", plugin.name)
    return evolve(plugin, name=f"{plugin.name} ({plugin.module})", conflicts=(conflict,))


def _register(manager: pluggy.PluginManager, plugin: Plugin, module: Any) -> Plugin:
    """Check a module, register its hooks, and collect the entries they return."""
    _check_contract(plugin, module)
    _check_hooks(module)
    owner = manager.get_name(module)
    if owner is not None:
        raise HookError(f"its module {plugin.module} is already registered as the plugin '{owner}'")
    manager.register(module, name=plugin.name)
    hooks = {caller.name for caller in manager.get_hookcallers(module) or ()}
    entries = {
        kind: tuple(_records(f"allophone_{kind}", record, module))
        for kind, record in KINDS.items()
        if f"allophone_{kind}" in hooks
    }
    return evolve(plugin, entries=entries, observes=OBSERVER in hooks)


def _check_contract(plugin: Plugin, module: Any) -> None:
    contract = getattr(module, "CONTRACT", None)
    if contract is None:
        raise HookError(
            f"{plugin.module} does not declare the version of the hook contract it was written for",
            hint=f"Add the line: CONTRACT = {hookspecs.CONTRACT}",
            location=getattr(module, "__file__", None),
        )
    if type(contract) is not int:
        raise HookError(
            f"{plugin.module} has CONTRACT = {contract!r}, which is not an integer",
            hint=f"Write: CONTRACT = {hookspecs.CONTRACT}",
            location=getattr(module, "__file__", None),
        )
    if contract != hookspecs.CONTRACT:
        raise ContractError(contract)


def _check_hooks(module: Any) -> None:
    """Raise HookError for functions that look like hooks but would never be called."""
    for name in dir(module):
        function = getattr(module, name) if name.startswith("allophone_") else None
        if not callable(function):
            continue
        if name not in _HOOKS:
            raise HookError(
                f"{name} is not a hook", hint=near_miss(name, _HOOKS), location=_line_of(function)
            )
        if not hasattr(function, "allophone_impl"):
            raise HookError(
                f"{name} is not marked as a hook",
                hint=f"Add the decorator @hookimpl to {name}: from allophone import hookimpl",
                location=_line_of(function),
            )


def _records(hook: str, record: type, module: Any) -> Iterator[Any]:
    """Call a hook and check the type of each record it returns."""
    function = getattr(module, hook)
    expected = f"it must return or yield {record.__name__} records"
    location = _line_of(function)
    try:
        returned = function()
        if isinstance(returned, record):
            raise HookError(
                f"{hook} returned a single record; {expected} as an iterable", location=location
            )
        if not isinstance(returned, Iterable):
            raise HookError(f"{hook} returned {returned!r}; {expected}", location=location)
        entries = list(returned)
    except UserError:
        raise
    except Exception as error:
        raise PluginError(f"{hook} raises {type(error).__name__}: {error}") from error
    for entry in entries:
        if not isinstance(entry, record):
            raise HookError(f"{hook} returned {entry!r}; {expected}", location=location)
        yield entry


def _line_of(function: Any) -> str | None:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else None


def _without_conflicts(plugin: Plugin, others: Iterable[Plugin]) -> Plugin:
    """Move entries whose names are already taken to `conflicts`."""
    entries: dict[str, tuple[Any, ...]] = {}
    conflicts = list(plugin.conflicts)
    for kind, offered in plugin.entries.items():
        taken = {entry.name: other for other in others for entry in other.entries.get(kind, ())}
        kept = []
        for entry in offered:
            if entry.name in taken:
                conflicts.append(conflict_between(taken[entry.name], plugin, kind, entry.name))
                continue
            taken[entry.name] = plugin
            kept.append(entry)
        entries[kind] = tuple(kept)
    return evolve(plugin, entries=entries, conflicts=tuple(conflicts))


def _reason(error: BaseException) -> str:
    if isinstance(error, UserError):
        return error.message
    return " ".join(f"{type(error).__name__}: {error}".split())


def _raise_if_broken(plugin: Plugin) -> None:
    if plugin.failure:
        where = f" ({plugin.location})" if plugin.location else ""
        raise PluginError(
            f"The plugin {plugin} does not work: {plugin.failure}{where}",
            hint=f"{plugin.advice}\nBroken plugins are errors because ALLOPHONE_STRICT_PLUGINS is set.",
        ) from plugin.cause
    for conflict in plugin.conflicts:
        raise PluginError(
            conflict.message,
            hint=f"{conflict.advice}\nConflicts are errors because ALLOPHONE_STRICT_PLUGINS is set.",
        )


def _warn_of_unknown_names(plugins: Iterable[Plugin]) -> None:
    """Warn of names in ALLOPHONE_DISABLE_PLUGINS that match no plugin, since they may be misspelt."""
    names = {plugin.name for plugin in plugins if plugin.name != "core"}
    for name in disabled_names():
        if name not in names:
            import logging

            logging.getLogger(__name__).warning(
                "%s names '%s', but no plugin has that name. %s",
                DISABLE,
                name,
                near_miss(name, names) or "No plugins are installed.",
            )
