"""Builds README.md, docs/ and the other Markdown pages as a site: `python -m tests.docs_site`.

The pages are copied to site/pages with the places they have in the repository, so that one relative link holds on
a code host and in the site. The generator comes from the dependency group `docs`, which only this task installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pipelines/README.md")
"""Beside docs/*.md."""


def pages() -> list[Path]:
    """Every page of the site, relative to the repository."""
    return [*map(Path, PAGES), *sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))]


def main() -> None:
    """Copy the pages and build; the exit code is the generator's, 1 on any warning."""
    shutil.rmtree(SITE, ignore_errors=True)
    for page in pages():
        copy = SITE / "pages" / page
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / page, copy)
    shutil.copyfile(ROOT / "docs" / "zensical.toml", SITE / "zensical.toml")
    uv = os.environ.get("UV", "uv")
    command = [uv, "run", "--quiet", "--group", "docs", "zensical", "build", "--strict"]
    built = subprocess.run([*command, "--config-file", str(SITE / "zensical.toml")], cwd=ROOT, check=False)
    sys.exit(built.returncode)


if __name__ == "__main__":
    main()
