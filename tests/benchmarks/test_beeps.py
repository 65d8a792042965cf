"""The tone detector's benchmark judges what it should: each kind of sound is made, and counted right or wrong."""

from __future__ import annotations

import pytest

from tests.benchmarks import beeps

pytestmark = pytest.mark.long


def test_no_two_of_the_first_nine_thousand_sentences_are_the_same() -> None:
    assert len({beeps.sentence(index) for index in range(9200)}) == 9200


def test_a_few_of_each_sound() -> None:
    tally = beeps.others(range(3))
    assert dict(tally.sounds) == {**dict.fromkeys(beeps.OTHER_SOUNDS, 3), "beeps": 3}
    assert tally.found["beeps"] == 3
    assert sum(tally.found.values()) == 3
    assert tally.told == []


def test_one_sentence_is_three_speakers() -> None:
    tally = beeps.speech(range(1))
    assert (tally.sounds["sentences"], tally.found["sentences"]) == (3, 0)


def test_what_is_found_and_what_is_missed_is_told() -> None:
    tally = beeps.Tally()
    tally.add("keys", 1, "seed 7")
    tally.add("beeps", 0, "seed 8", due=1)
    tally.add("beeps", 1, "seed 9", due=1)
    assert tally.told == ["keys: 1 in seed 7", "beeps: 0 in seed 8"]
    assert (tally.found["keys"], tally.found["beeps"], tally.sounds["beeps"]) == (1, 1, 2)
