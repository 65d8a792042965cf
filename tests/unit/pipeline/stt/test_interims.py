"""Which interim words stand in for finals that are empty, short, late or missing."""

from __future__ import annotations

from typing import Any

from bot.pipeline.stt.interims import LATE_SECONDS, Interims, text_of


def results(text: str, start: float, end: float, *, final: bool = False) -> dict[str, Any]:
    names = text.split()
    step = (end - start) / max(1, len(names))
    words = [{"word": w, "start": start + n * step, "end": start + (n + 1) * step} for n, w in enumerate(names)]
    channel = {"alternatives": [{"transcript": text, "words": words}]}
    return {"type": "Results", "start": start, "duration": end - start, "is_final": final, "channel": channel}


def heard(*interims: dict[str, Any]) -> Interims:
    kept = Interims()
    for one in interims:
        kept.note(one, 10.0)
    return kept


def given(kept: Interims) -> str | None:
    news = kept.give()
    return None if news is None else text_of(news)


def test_the_last_interim_of_a_word_or_more_stands_in() -> None:
    kept = heard(results("Yes", 0, 1), results("Yes that works", 0, 2), results("", 0, 3))
    assert kept.final(results("", 0, 3, final=True)) is not None
    assert given(kept) == "Yes that works"
    assert given(kept) is None, "once"


def test_interims_of_spans_behind_each_other_are_joined() -> None:
    assert given(heard(results("Yes that", 0, 1), results("works", 1, 2), results("works for me", 1, 3))) == (
        "Yes that works for me"
    )


def test_a_final_with_words_is_the_turn() -> None:
    kept = heard(results("Yes that works", 0, 2))
    final = kept.final(results("Yes, that works.", 0, 2, final=True))
    assert final is not None
    assert text_of(final) == "Yes, that works."
    assert given(kept) is None


def test_words_behind_a_shorter_final_wait_for_theirs() -> None:
    kept = heard(results("yes that works", 0, 3))
    assert kept.final(results("Yes.", 0, 1, final=True)) is not None
    assert given(kept) == "that works"


def test_a_mishearing_that_a_final_takes_back_is_gone() -> None:
    kept = heard(results("guest at works", 0, 2))
    kept.final(results("Yes, that works.", 0, 2, final=True))
    assert given(kept) is None


def test_a_late_final_says_nothing_twice_and_what_is_new_of_it() -> None:
    kept = heard(results("yes that works", 0, 2))
    assert not kept.overdue(10.0 + LATE_SECONDS / 2, 9.0)
    assert kept.overdue(10.0 + LATE_SECONDS, 9.0)
    assert not kept.overdue(10.0 + LATE_SECONDS, 10.5), "the callee has only just stopped"
    assert given(kept) == "yes that works"
    assert kept.final(results("Yes, that works.", 0, 2, final=True)) is None
    longer = kept.final(results("Yes, that works for me.", 0, 2, final=True))
    assert longer is not None
    assert text_of(longer) == "for me."
    following = kept.final(results("Goodbye.", 2, 3, final=True))
    assert following is not None
    assert text_of(following) == "Goodbye."


def test_nothing_is_made_of_silence() -> None:
    kept = heard(results("", 0, 1))
    assert not kept.overdue(99.0, 0.0)
    assert given(kept) is None
