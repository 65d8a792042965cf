"""Three servers, each killed once with calls on the line: no call is lost, none dialled twice, every result told.

The number of calls is what two cores carry in half a minute; `poe scale` does it with sixty.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.scale import faults
from tests.scale.killing import run

CALLS = 9


@pytest.mark.timeout(400)
@pytest.mark.long
async def test_each_server_is_killed_once(tmp_path: Path, database_url: str) -> None:
    outcome = await run(tmp_path, database_url, CALLS, within=120.0)
    assert faults(outcome) == []
    assert len({call["call_id"] for call in outcome.calls}) == len(outcome.dialled) == CALLS
    assert outcome.took_part == 3
    assert outcome.reasons["callee_hangup"] >= CALLS // 2, outcome.reasons
