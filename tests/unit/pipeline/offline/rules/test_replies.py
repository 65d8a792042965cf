"""The rules that hold a call without a key answer what a callee says, in every shipped scenario."""

from __future__ import annotations

from tests.benchmarks.replies import score

RIGHT = 101
"""Of the utterances in `replies.toml`, as measured; a change of the rules may raise it."""


def test_the_rules_answer_with_the_right_kind_of_reply() -> None:
    scored = score()
    wrong = [(one.heard, one.reply.text, one.missing) for one in scored if one.missing]
    assert len(scored) - len(wrong) >= RIGHT, wrong
