"""docs/openapi.json is what the server answers with, and names every operation as a method."""

from __future__ import annotations

import json

from tests import openapi


def test_the_file_is_the_server_s_own() -> None:
    assert openapi.FILE.read_text(encoding="utf-8") == openapi.described(), "run `uv run poe openapi`"


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    document = json.loads(openapi.FILE.read_text(encoding="utf-8"))
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
    assert all(operation["summary"] for operation in operations)
