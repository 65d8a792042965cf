"""A minute of schemathesis; `poe contract` runs ten."""

from pathlib import Path

import pytest

from tests.contract import check


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_every_answer_is_one_that_the_document_names(tmp_path: Path) -> None:
    code, said = await check(tmp_path, 60)
    assert code == 0, said[-20_000:]
    assert "Traceback" not in said
