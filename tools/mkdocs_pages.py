"""Pages that mkdocs.yml adds to the guides in docs/: READMEs, the changelog, and the public modules.

Every page comes from a file of the repository, and links to others as one does there: relative to it, or, in
READMEs that also stand on a package index, below the project's address. Both become links of the site where it has
that page, and addresses where it has not.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from distributions import HOME, ROOT, distributions

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LISTED = re.compile(r"^- `(allophone[a-z0-9_.]*)`$", re.MULTILINE)
"""A line of docs/api.md with a public module."""

CODE = re.compile(r"^```[\s\S]*?^```|^ {4}.*$|`[^`\n]*`", re.MULTILINE)
"""Code in a page, which contains no links."""

_LINK = re.compile(r"(?<=\]\()[^)\s]+")
_LOADED = re.compile(
    r"<(?:script|img|audio|iframe|source)\b[^>]*\bsrc=\"?(https?:[^\" >]+)"
    r"|<link\b(?=[^>]*rel=\"?(?:stylesheet|preconnect|icon))[^>]*href=\"?(https?:[^\" >]+)"
)
"""HTML that would make a browser load files from other hosts."""


def public_modules() -> list[str]:
    """The public modules listed in docs/api.md."""
    return LISTED.findall((ROOT / "docs" / "api.md").read_text("utf-8"))


def added() -> Mapping[str, str]:
    """Maps pages that come from other files to their path in the repository."""
    plugins = {
        f"plugins/{one.folder.name}.md": f"{one.place}/README.md" for one in distributions()[1:]
    }
    return {
        "index.md": "README.md",
        "contributing.md": "CONTRIBUTING.md",
        "changelog.md": "CHANGELOG.md",
        "core.md": "core/README.md",
        **plugins,
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the plugins and the public modules to the navigation."""
    assert config.nav is not None
    for section in config.nav:
        if "Plugins" in section:
            section["Plugins"] = [
                {one.name: f"plugins/{one.folder.name}.md" if one.place != "core" else "core.md"}
                for one in distributions()
            ]
        if "API reference" in section:
            section["API reference"] += [{name: f"api/{name}.md"} for name in public_modules()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for page, source in added().items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    for name in public_modules():
        text = f"# {name}\n\n::: {name}\n"
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to pages of the site; in docs/api.md, add the summary of each module."""
    here = page.file.src_uri
    if here == "api.md":
        return LISTED.sub(lambda found: _described(found[1]), markdown)
    source = added().get(here, f"docs/{here}")
    pieces, at = [], 0
    for code in CODE.finditer(markdown):
        pieces += [_linked(markdown[at : code.start()], source, here), code[0]]
        at = code.end()
    return "".join([*pieces, _linked(markdown[at:], source, here)])


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Raise an error if a page would load files from other hosts."""
    for found in _LOADED.finditer(output):
        raise RuntimeError(
            f"{page.file.src_uri} would load {found[1] or found[2]}; pages must not load files from other hosts"
        )
    return output


def _described(module: str) -> str:
    # The contract suite is beside the core.
    home = ROOT / ("core" if module.split(".")[0] == "allophone" else "plugins/testing") / "src"
    path = home / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return f"- [`{module}`](api/{module}.md): {text.splitlines()[0]}"


def _linked(text: str, source: str, here: str) -> str:
    """Rewrite the links of a text from the file `source` for the page `here`."""
    return _LINK.sub(lambda found: site_link(found[0], source, here), text)


def site_link(target: str, source: str, here: str) -> str:
    """The target of a link in the file `source`, relative to the page `here`."""
    place, hash, anchor = target.partition("#")
    if place == HOME or place.startswith(f"{HOME}/"):
        path = place.removeprefix(HOME).strip("/") or "README.md"
    elif not place or "://" in place or place.startswith("mailto:"):
        return target
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), place))
    if (ROOT / path / "README.md").is_file():
        path = f"{path}/README.md"
    if path == "docs":
        path = "README.md"
    pages = {origin: page for page, origin in added().items()}
    page = pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page is None or not (path in pages or Path(ROOT, path).is_file()):
        return f"{HOME}/{path}{hash}{anchor}"
    return posixpath.relpath(page, posixpath.dirname(here) or ".") + hash + anchor
