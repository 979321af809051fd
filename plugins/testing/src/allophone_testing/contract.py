"""What contracts have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from allophone.registry import Registry, default_registry


class Contract:
    """Base of the contracts: where the names of what is tested are looked up."""

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls) -> Registry:
        """The installed plugins; a subclass may look elsewhere."""
        return default_registry()


class OwnCache:
    """For contracts of what writes into the user's cache."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def cache(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """The user's cache is left alone, by other processes too."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            yield
