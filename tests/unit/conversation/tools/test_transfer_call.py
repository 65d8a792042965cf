"""transfer_call: a target is chosen by name; its number is the scenario's alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bot.conversation.tools.transfer_call import TransferTarget, target_schema, transfer_call
from tests.unit.conversation.tools.control import NotedControl


async def test_a_target_and_a_summary() -> None:
    control = NotedControl()
    result = await transfer_call({"target": " front desk ", "summary": " John, about a bill. "}, control)
    assert result == {"status": "calling"}
    assert control.asked == [("transfer", "front desk", "John, about a bill.")]


@pytest.mark.parametrize("arguments", [{}, {"target": ""}, {"target": None}])
async def test_no_target(arguments: dict[str, Any]) -> None:
    control = NotedControl()
    assert "error" in await transfer_call(arguments, control)
    assert control.asked == []


def test_the_model_sees_names_and_never_numbers() -> None:
    targets = (
        TransferTarget(name="front desk", number="+12025550177", description="bills"),
        TransferTarget(name="sales", number="+12025550178"),
    )
    schema = target_schema(targets)
    assert schema["enum"] == ["front desk", "sales"]
    assert "front desk: bills; sales" in schema["description"]
    assert "1202555" not in str(schema)


@pytest.mark.parametrize(
    "fields",
    [
        {"number": "12025550177"},
        {"number": "+1 202 555 0177"},
        {"number": "reception"},
        {"name": "Front Desk!"},
        {"accept_key": "11"},
        {"accept_key": "#"},
        {"mode": "blind"},
        {"colour": "red"},
    ],
)
def test_mistakes_of_a_file(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransferTarget.model_validate({"name": "desk", "number": "+12025550177", **fields})
