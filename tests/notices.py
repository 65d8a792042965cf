"""Writes the table of packages in docs/third_party.md from their installed metadata: `python -m tests.notices`.

The packages are those of the image: what the project requires, in turn, on the image's Python and Linux, without
the development groups. Licences are as each package states them. Models and libraries that travel inside packages
have no metadata; their tables in that page are kept by hand.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parent.parent / "docs" / "third_party.md"
IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
LEFT_OUT = frozenset({"numba"})
"""Overridden in pyproject.toml."""
NOT_HERE = {"audioop-lts": "PSF-2.0"}
"""Of the image's Python, and perhaps not of this one."""
PLAIN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""A classifier's or a field's words as the SPDX name."""
_HEAD = "| package | licence |\n|---|---|\n"


def packages() -> list[str]:
    """Everything that the project requires in the image, sorted."""
    extras: dict[str, frozenset[str]] = {}
    waiting = [("phone-agent", frozenset[str]())]
    while waiting:
        name, wanted = waiting.pop()
        if name in extras and wanted <= extras[name]:
            continue
        extras[name] = extras.get(name, frozenset()) | wanted
        try:
            required = distribution(name).requires or []
        except PackageNotFoundError:
            if name not in NOT_HERE:
                raise
            continue
        for requirement in map(Requirement, required):
            marker = requirement.marker
            holds = marker is None or any(
                marker.evaluate({**IMAGE, "extra": extra}) for extra in {"", *extras[name]}
            )
            if holds and requirement.name not in LEFT_OUT:
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return sorted(set(extras) - {"phone-agent"})


def licence(package: str) -> str:
    """As the package states it: the SPDX expression, else its field, else its classifiers."""
    if package in NOT_HERE:
        return NOT_HERE[package]
    metadata = distribution(package).metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    field = metadata["License"].strip() if "License" in metadata else ""
    said = [each.split(" :: ")[-1] for each in metadata.get_all("Classifier") or [] if each.startswith("License")]
    if field and "\n" not in field:
        said = [field]
    return " or ".join(PLAIN.get(each, each) for each in said) or "see the package"


def page() -> str:
    """The page as it has to be."""
    rows = "".join(f"| `{package}` | {licence(package)} |\n" for package in packages())
    return PAGE.read_text(encoding="utf-8").partition(_HEAD)[0] + _HEAD + rows


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
