"""The body of an upload: its policy as fields, its contacts as a file on disk that is read row by row.

Three shapes: JSON with a list `contacts`; multipart/form-data with a CSV file and the fields beside it; text/csv
with the fields in the query. Of none is more than a block in memory at a time.
"""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from bot.api.problems import ProblemRoute
from bot.calls.campaigns import CsvContacts, JsonContacts, in_slices
from bot.errors import RequestError
from bot.phone_numbers import is_country

MAX_UPLOAD_BYTES = 64 * 1024 * 1024
_IN_MEMORY = 1024 * 1024
_MOST_FIELDS = 40
_CSV_TYPES = ("text/csv", "application/csv", "application/vnd.ms-excel", "text/plain")
_OBJECTS = frozenset({"policy", "retry", "retries", "hours", "metadata", "outcome_schema"})
"""Fields that are JSON objects: in a form and in a query they are written as JSON."""


class UploadRoute(ProblemRoute):
    """Takes bodies of MAX_UPLOAD_BYTES."""

    max_body_bytes = MAX_UPLOAD_BYTES


@dataclass(frozen=True)
class Upload:
    """Open as long as `opened` is; `rows` are read once."""

    fields: Mapping[str, Any]
    rows: CsvContacts | JsonContacts
    file: IO[bytes]

    async def digest(self) -> str:
        """Of all that was sent, whatever the boundary of its form."""
        fields = json.dumps(self.fields, sort_keys=True, default=str).encode()
        content = await asyncio.to_thread(_digest, self.file)
        return hashlib.sha256(fields + content).hexdigest()


@asynccontextmanager
async def opened(request: Request) -> AsyncIterator[Upload]:
    """RequestError when the body is none of the three, or its frame is wrong."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with _form(request) as (fields, file), _csv(fields, file) as upload:
            yield upload
        return
    if kind not in (*_CSV_TYPES, "application/json"):
        raise RequestError(
            "Send application/json, multipart/form-data with a CSV file, or text/csv.", code="unsupported_body"
        )
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async for chunk in request.stream():
            file.write(chunk)
        if kind == "application/json":
            rows = JsonContacts(file)
            async for _ in in_slices(rows.check()):
                pass
            yield Upload(rows.fields, rows, file)
        else:
            async with _csv(_decoded(request.query_params.multi_items()), file) as upload:
                yield upload


@asynccontextmanager
async def _csv(fields: Mapping[str, Any], file: IO[bytes]) -> AsyncIterator[Upload]:
    said, country = fields.get("encoding"), fields.get("country")
    known = country.upper() if isinstance(country, str) and is_country(country.upper()) else None
    # In a thread: a file is looked through for its encoding.
    rows = await asyncio.to_thread(CsvContacts, file, encoding=said, country=known)
    try:
        yield Upload(fields, rows, file)
    finally:
        rows.close()


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[tuple[Mapping[str, Any], IO[bytes]]]:
    try:
        form = await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=256 * 1024)
    except HTTPException as e:
        if e.status_code != 400:
            raise
        raise RequestError(f"The form cannot be read: {e.detail}", code="invalid_form") from None
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        if not files:
            raise RequestError("The form has no file.", code="missing_field", field="file")
        yield _decoded(texts), files[0].file
    finally:
        await form.close()


def _decoded(items: list[tuple[str, str]]) -> dict[str, Any]:
    """The fields; what is empty counts as left out."""
    fields: dict[str, Any] = {}
    for name, text in items:
        if not text.strip():
            continue
        if name in fields:
            raise RequestError(f"{name} is there twice.", code="invalid_field", field=name)
        fields[name] = text
        if name in _OBJECTS or (name == "context" and text.lstrip().startswith("{")):
            try:
                fields[name] = json.loads(text)
            except ValueError:
                if name in _OBJECTS:
                    raise RequestError(
                        f"{name}: write it as a JSON object", code="invalid_field", field=name
                    ) from None
    return fields


def _digest(file: IO[bytes]) -> bytes:
    at = file.tell()
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_IN_MEMORY):
        digest.update(block)
    file.seek(at)
    return digest.digest()
