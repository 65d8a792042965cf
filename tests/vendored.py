"""Fetches the pages' JavaScript from the npm registry: `python -m tests.vendored`, with npm installed.

Each file stands in the tree as it is, but for addresses of other hosts, so that a clone needs neither npm nor a
network. Name, version and licence
of each are in docs/third_party.md, which a test holds to this table.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "bot" / "web" / "static" / "vendor"
TESTS = ROOT / "tests" / "browser" / "vendor"
PAGE = ROOT / "docs" / "third_party.md"
HEAD = "| library | version | licence |\n|---|---|---|\n"


@dataclass(frozen=True)
class Library:
    """A package of npm, and the files of it that are kept."""

    name: str
    version: str
    licence: str
    files: tuple[str, ...]
    folder: Path = STATIC
    instead: tuple[tuple[str, str], ...] = ()
    """Addresses of other hosts in it, and what stands in their place."""


LIBRARIES = (
    Library("htmx.org", "2.0.11", "0BSD", ("dist/htmx.min.js",)),
    Library("wavesurfer.js", "7.12.12", "BSD-3-Clause", ("dist/wavesurfer.min.js",)),
    Library("uplot", "1.6.32", "MIT", ("dist/uPlot.iife.min.js", "dist/uPlot.min.css")),
    Library("swagger-ui-dist", "5.35.0", "Apache-2.0", ("swagger-ui-bundle.js", "swagger-ui.css")),
    Library(
        "redoc",
        "2.5.4",
        "MIT",
        ("bundles/redoc.standalone.js",),
        instead=(("https://cdn.redoc.ly/redoc/logo-mini.svg", "/static/icon.svg"),),
    ),
    Library("axe-core", "4.14.1", "MPL-2.0", ("axe.min.js",), TESTS),
)


def table() -> str:
    """The rows of docs/third_party.md for what the image carries."""
    return "".join(
        f"| `{each.name}` | {each.version} | {each.licence} |\n" for each in LIBRARIES if each.folder == STATIC
    )


def _fetch(library: Library, work: Path) -> None:
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"{library.name}@{library.version}"],
        cwd=work,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tarfile.open(work / packed.splitlines()[-1]) as archive:
        stated = json.loads(_read(archive, "package.json"))["license"]
        assert stated == library.licence, f"{library.name} states {stated}"
        library.folder.mkdir(parents=True, exist_ok=True)
        for file in library.files:
            held = _read(archive, file)
            for theirs, ours in library.instead:
                held = held.replace(theirs.encode(), ours.encode())
            (library.folder / Path(file).name).write_bytes(held)
        notice = library.folder / f"{library.name}.LICENSE.txt"
        notice.write_bytes(_read(archive, "LICENSE"))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(f"package/{name}")
    assert member is not None, name
    return member.read()


def page() -> str:
    """docs/third_party.md as it has to be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(HEAD)
    return before + HEAD + table() + re.sub(r"^(\|.*\n)*", "", rest)


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        for library in LIBRARIES:
            _fetch(library, Path(work))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
