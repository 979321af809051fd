"""`Plugin`: what a plugin offers, whether it works, and what to do if it does not."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, field, fields, frozen

from allophone.entries import Ref, singular
from allophone.errors import PluginError, UserError
from allophone.hookspecs import CONTRACT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISABLE = "ALLOPHONE_DISABLE_PLUGINS"

CORE = "allophone"
"""The name of the core's distribution and package."""

# PEP 508, "Names".
_DISTRIBUTION_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class HookError(PluginError):
    """An error in a plugin's hooks, for its author to fix; `location` is "file:line"."""

    def __init__(
        self, message: str, *, hint: str | None = None, location: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.location = location


class ContractError(PluginError):
    """A plugin was written for another version of the hook contract."""

    def __init__(self, contract: int) -> None:
        super().__init__(
            f"written for hook contract {contract}; this version of Allophone has {CONTRACT}"
        )
        self.contract = contract


@frozen(kw_only=True)
class Conflict:
    """A name that a plugin offers although an earlier plugin already offers it.

    kind: as in `entries.KINDS`; "plugins" if two entry points have the same name.
    message, advice: which plugins offer it, and what to uninstall or disable.
    """

    kind: str
    name: str
    message: str
    advice: str


@frozen(kw_only=True, eq=False)
class Plugin:
    """One plugin: working, broken or disabled.

    name: the name of its entry point.
    module: the module with its hooks.
    dist: the distribution that provides it; None for a module passed to `build_registry`.
    entries: the entries it offers, by kind.
    observes: whether it implements the hook `allophone_train_event`.
    disabled: whether ALLOPHONE_DISABLE_PLUGINS disables it; it is not imported then.
    failure: why it does not work, or None; `cause` is the exception, `location` the "file:line" of its origin.
    conflicts: the entries that were left out because another plugin offers the same names.
    """

    name: str
    module: str
    dist: importlib.metadata.Distribution | None = field(default=None, repr=False)
    entries: Mapping[str, tuple[Any, ...]] = Factory(dict)
    observes: bool = False
    disabled: bool = False
    failure: str | None = None
    location: str | None = None
    cause: BaseException | None = field(default=None, repr=False)
    conflicts: tuple[Conflict, ...] = ()

    # Parsed lazily, because `allophone --help` does not need it.
    @cached_property
    def _metadata(self) -> Mapping[str, str]:
        if self.dist is None:
            return {"Name": self.name, "Version": ""}
        metadata = self.dist.metadata
        return {"Name": metadata["Name"], "Version": metadata["Version"]}

    @property
    def distribution(self) -> str:
        """The name of its distribution."""
        return self._metadata["Name"]

    @property
    def version(self) -> str:
        """The version of its distribution; empty if it has none."""
        return self._metadata["Version"]

    @property
    def state(self) -> Literal["works", "broken", "disabled"]:
        """Whether it works, is broken or is disabled."""
        if self.disabled:
            return "disabled"
        return "broken" if self.failure else "works"

    @property
    def package(self) -> str:
        """The top-level Python package of its module."""
        return self.module.partition(".")[0]

    @cached_property
    def checkout(self) -> Path | None:
        """The path of its source if it is installed in editable mode, or None."""
        import json
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        text = self.dist.read_text("direct_url.json") if self.dist else None
        origin = json.loads(text or "{}")
        if not origin.get("dir_info", {}).get("editable"):
            return None
        return Path(url2pathname(urlsplit(origin["url"]).path))

    @property
    def advice(self) -> str | None:
        """What to do if it is broken or disabled."""
        if self.disabled:
            return f"To enable it: unset {DISABLE}"
        return self.advice_for(self.cause) if self.cause else None

    @property
    def traceback_text(self) -> str | None:
        """The traceback of the exception that broke it."""
        # Imported here, as in `failure_location`, since it is needed only for broken plugins.
        import traceback

        return "".join(traceback.format_exception(self.cause)) if self.cause else None

    def advice_for(self, error: BaseException) -> str:
        """What to do about an exception raised by this plugin's code."""
        if isinstance(error, ContractError):
            return self._advice_on_contract(error.contract)
        hint = error.hint if isinstance(error, UserError) else None
        if hint and not isinstance(error, HookError):
            return hint
        missing = self._missing_dependency(error)
        if missing:
            return missing
        advice = [hint] if hint else []
        location = failure_location(error, self.package)
        if self.checkout or self.dist is None:
            advice.append(f"Fix {location or self.checkout or self.module}")
        elif isinstance(error, HookError):
            advice.append(
                "This is a bug in the plugin; try a newer version: "
                f"pip install --upgrade {self.distribution}"
            )
        else:
            advice.append(f"Reinstall it: pip install --force-reinstall {self.distribution}")
        return "\n".join(advice)

    def _advice_on_contract(self, contract: int) -> str:
        if contract > CONTRACT:
            return f"Upgrade the core: pip install --upgrade {CORE}"
        if self.checkout or self.dist is None:
            return f"Adapt {self.checkout or self.module} to contract {CONTRACT}"
        return f"Upgrade the plugin: pip install --upgrade {self.distribution}"

    def _missing_dependency(self, error: BaseException) -> str | None:
        """How to install a missing dependency, if that is the cause of the error."""
        module = missing_module(error)
        package = (module or "").partition(".")[0]
        if not module or package == self.package:
            return None
        installed = importlib.metadata.packages_distributions().get(package)
        if installed and module != package:  # The package is installed, but lacks a module.
            return f"Upgrade its dependency: pip install --upgrade {installed[0]}"
        extra = self.extra_for(error)
        if extra:
            return f"Install its dependency: pip install '{extra}'"
        distribution = self._requirement(package)
        if not is_distribution_name(distribution):
            return None
        return f"Install its dependency: pip install {distribution}"

    def extra_for(self, error: BaseException) -> str | None:
        """The extra, its own or the core's, that installs the missing module: "allophone[torch]"."""
        package = missing_module(error)
        core = importlib.metadata.distribution(CORE)
        found = [extra_providing(package, dist) for dist in (self.dist, core) if package and dist]
        return next(filter(None, found), None)

    @property
    def features_extra(self) -> str | None:
        """Its extra `features`, as "name[features]", if a distribution listed there is not installed.

        A model family lists the plugins there whose features it can train on.
        """
        markers = ((one, one.marker) for one in requirements(self.dist) if one.marker)
        wanted = (
            one.name
            for one, marker in markers
            if marker.evaluate({"extra": "features"}) and not marker.evaluate({"extra": ""})
        )
        absent = not all(map(_is_installed, wanted))
        return f"{self.distribution}[features]" if absent else None

    def _requirement(self, package: str) -> str:
        """Guess which of its requirements provides a missing package; by default the package's own name."""
        needed = [
            one
            for one in requirements(self.dist)
            if not one.marker or one.marker.evaluate({"extra": ""})
        ]
        named = [one.name for one in needed if same_name(one.name, package)]
        absent = named or [one.name for one in needed if not _is_installed(one.name)]
        return absent[0] if len(absent) == 1 else package

    def __str__(self) -> str:
        return f"'{self.name}' of {self.distribution} {self.version}".rstrip()


def conflict_between(first: Plugin, second: Plugin, kind: str, name: str) -> Conflict:
    """Describe the conflict of `second`, which offers a name that `first` offers; they may be the same."""
    called = singular(kind)
    if first is second:
        return Conflict(
            kind=kind,
            name=name,
            message=f"The plugin {second} offers the {called} '{name}' twice; the first one is used.",
            advice=f"Remove one of them from {second.module}.",
        )
    if kind == "plugins":
        message = f"Two plugins are called '{name}': one of {first.distribution}, one of {second.distribution}."
    else:
        message = (
            f"The {called} '{name}' is offered by the plugins {first} and {second}; "
            f"that of {first.distribution} is used."
        )
    # Disabling works by name, so it cannot separate plugins of the same name; the core cannot be disabled.
    disable = [plugin for plugin in (second, first) if kind != "plugins" and plugin.name != "core"]
    uninstall = [
        plugin for plugin in (second, first) if plugin.dist and plugin.distribution != CORE
    ]
    if first.distribution == second.distribution:
        uninstall = []
    commands = [f"pip uninstall {plugin.distribution}" for plugin in uninstall]
    commands += [disable_setting(plugin.name) for plugin in disable]
    return Conflict(
        kind=kind,
        name=name,
        message=message,
        advice=f"Uninstall or disable one of them: {', or '.join(commands)}"
        if commands
        else "Rename one of them.",
    )


def disabled_names() -> list[str]:
    """The names in ALLOPHONE_DISABLE_PLUGINS."""
    return [name for part in os.environ.get(DISABLE, "").split(",") if (name := part.strip())]


def disable_setting(name: str) -> str:
    """The environment setting that disables a plugin in addition to those already disabled."""
    return f"{DISABLE}={','.join([*disabled_names(), name])}"


def is_distribution_name(name: object) -> bool:
    """Whether a name, such as one read from a file, is safe to show in a `pip install` command."""
    return isinstance(name, str) and _DISTRIBUTION_NAME.fullmatch(name) is not None


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an exception, its cause, the cause of that, and so on."""
    following: BaseException | None = error
    while following is not None:
        yield following
        suppressed = following.__suppress_context__
        following = following.__cause__ or (None if suppressed else following.__context__)


def missing_module(error: BaseException) -> str | None:
    """The name of the missing module, if a ModuleNotFoundError is in the exception's chain."""
    absent = (one.name for one in exception_chain(error) if isinstance(one, ModuleNotFoundError))
    return next(absent, None)


def extra_providing(package: str, dist: importlib.metadata.Distribution) -> str | None:
    """Find the extra of a distribution that installs a package: "allophone[torch]"; None if there is none.

    The extra `testing` is ignored, since it is for the distribution's own tests.
    """
    found = [one.marker for one in requirements(dist) if _brings(one, package, dist)]
    if not all(marker and not marker.evaluate({"extra": ""}) for marker in found):
        return None  # It is required without any extra.
    for extra in dist.metadata.get_all("Provides-Extra") or ():
        if extra != "testing" and any(
            marker.evaluate({"extra": extra}) for marker in found if marker
        ):
            return f"{dist.metadata['Name']}[{extra}]"
    return None


def _brings(one: Requirement, package: str, dist: importlib.metadata.Distribution) -> bool:
    """Whether a requirement of `dist` installs a package, itself or through extras of another distribution."""
    if same_name(one.name, package):
        return True
    if not one.extras or same_name(one.name, dist.metadata["Name"]) or not _is_installed(one.name):
        return False
    found = extra_providing(package, importlib.metadata.distribution(one.name))
    return found in {f"{one.name}[{extra}]" for extra in one.extras}


def requirements(dist: importlib.metadata.Distribution | None) -> list[Requirement]:
    """Parse the requirements of a distribution and its extras."""
    from packaging.requirements import Requirement

    return [Requirement(line) for line in (dist.requires if dist else None) or ()]


def same_name(distribution: str, package: str) -> bool:
    """Whether a distribution has the same normalized name as an import package."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(distribution) == canonicalize_name(package)


def failure_location(error: BaseException, package: str) -> str | None:
    """Find the origin of an exception, as "file:line".

    This is the innermost line in the package, or else the innermost line outside the core and the import
    system; None if there is none.
    """
    import traceback

    elsewhere = None
    for one in exception_chain(error):
        if isinstance(one, HookError) and one.location:
            return one.location
        if isinstance(one, SyntaxError) and one.filename:
            return f"{one.filename}:{one.lineno}"
        for frame, line in reversed(list(traceback.walk_tb(one.__traceback__))):
            place = f"{frame.f_code.co_filename}:{line}"
            owner = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if owner == package:
                return place
            if owner not in (CORE, "importlib", "pluggy") and not elsewhere:
                elsewhere = place
    return elsewhere


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def references(entry: Any) -> Iterator[tuple[str, Ref]]:
    """Iterate over the references of a record and its nested records: ("importers.piper.importer", Ref)."""
    for attribute in fields(type(entry)):
        value = getattr(entry, attribute.name)
        if isinstance(value, Ref):
            yield attribute.name, value
        elif isinstance(value, tuple):
            for inner in value:
                for name, ref in references(inner):
                    yield f"{attribute.name}.{inner.name}.{name}", ref
