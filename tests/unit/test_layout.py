"""The layout of DESIGN section 3, as far as a program can see it: sizes, names, imports, first sentences."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

BOT = Path(__file__).parents[2] / "bot"
FILES = sorted(path for path in BOT.rglob("*.py") if "migrations" not in path.parts)
LONGEST_FILE = 500
FOLDERS, MODULES = 12, 8
LONGEST_SENTENCE = 25
"""Words of a docstring's first line."""
EMPTY_NAMES = {"utils", "helpers", "manager", "common", "core"}
HARD_TO_READ = re.compile(
    r"\b(whoever|told of|is told|what came of|of now|nobody but|the mind|the ear|seats?|doors)\b", re.IGNORECASE
)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(BOT).as_posix()


def documented(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Each docstring with the name it stands under."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


def test_the_top_is_small() -> None:
    entries = [path for path in BOT.iterdir() if path.name not in {"__pycache__", "__init__.py"}]
    assert len([path for path in entries if path.is_dir()]) <= FOLDERS
    assert len([path for path in entries if path.suffix == ".py"]) <= MODULES


def test_a_file_is_one_thing_with_a_name() -> None:
    assert [name(path) for path in FILES if path.stem in EMPTY_NAMES] == []
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_public_class_has_the_name_of_another() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_our_modules_are_imported_at_the_top() -> None:
    """But for `build…`, which loads a vendor or a local engine only where a call uses it."""
    inside = [
        f"{name(path)} {function.name}: {node.module}"
        for path in FILES
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not function.name.startswith("build")
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bot"
    ]
    assert inside == []


def test_a_docstring_is_understood_at_first_sight() -> None:
    hard = [
        f"{name(path)} {where}: {sentence}"
        for path in FILES
        for where, text in documented(tree(path))
        for sentence in [re.split(r"(?<=[.!?:])\s", text.split("\n\n")[0])[0]]
        if HARD_TO_READ.search(text) or len(sentence.split()) > LONGEST_SENTENCE
    ]
    assert hard == []
