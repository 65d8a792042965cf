"""The callee's say in the recording: what each answer and objection does to it, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot import languages
from bot.conversation.prompt import opening_rest, opening_text
from bot.conversation.recording_consent import RecordingTalk, answer_of
from bot.conversation.scenario.scenario import Scenario
from bot.records import CallSpec, ConsentAnswer

EN, ES = languages.of("en"), languages.of("es")
SPEC = CallSpec("+12025550123", "s", callee_name="John", agent_name="Kim", organization="Acme")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", "yes"),
        ("Sure, go ahead.", "yes"),
        ("No problem.", "yes"),
        ("I don't mind.", "yes"),
        ("That's fine.", "yes"),
        ("No.", "no"),
        ("I'd rather not.", "no"),
        ("No, please don't record me.", "no"),
        ("Who is this?", "unclear"),
        ("What is it about, I was just about to leave the house?", "unclear"),
    ],
)
def test_what_an_answer_means(text: str, answer: str) -> None:
    assert answer_of(text, EN) is ConsentAnswer(answer)


@pytest.mark.parametrize(
    ("text", "answer"), [("Sí, de acuerdo.", "yes"), ("No, no me grabe.", "no"), ("¿Quién es?", "unclear")]
)
def test_what_an_answer_means_in_spanish(text: str, answer: str) -> None:
    assert answer_of(text, ES) is ConsentAnswer(answer)


OBJECTIONS = [
    (EN, "Please don't record."),
    (EN, "I don't want to be recorded."),
    (EN, "I'm not comfortable being recorded."),
    (EN, "Could you stop the recording, please?"),
    (EN, "I didn't agree to be recorded."),
    (EN, "You cannot record me."),
    (EN, "I don't consent to being taped."),
    (ES, "No quiero que me graben."),
    (ES, "Deje de grabar."),
    (ES, "Prefiero que no se grabe."),
    (ES, "No autorizo la grabación."),
]
NO_OBJECTIONS = [
    (EN, "I have no record of that."),
    (EN, "It's not in my medical records."),
    (EN, "It is not recorded in my calendar."),
    (EN, "I don't mind being recorded."),
    (EN, "There is no recording of it."),
    (EN, "Is this call recorded?"),
    (ES, "No me importa que graben."),
    (ES, "¿Se graba la llamada?"),
]


@pytest.mark.parametrize(("language", "text"), OBJECTIONS)
def test_an_objection_is_heard(language: languages.Language, text: str) -> None:
    assert language.notices.refuses_recording.found_in(text)


@pytest.mark.parametrize(("language", "text"), NO_OBJECTIONS)
def test_other_records_are_left_alone(language: languages.Language, text: str) -> None:
    assert not language.notices.refuses_recording.found_in(text)


def scenario(mode: str, **more: object) -> Scenario:
    return Scenario.model_validate(
        {
            "description": "A test.",
            "instructions": "Talk.",
            "opening": {"text": "Hi {{callee_name}}, this is {{agent_name}}. Does Thursday work?"},
            "recording": {"mode": mode, **more},
        }
    )


def test_the_opening_announces_it_or_asks_for_it() -> None:
    first = "Hi John, this is Kim, an AI assistant."
    assert opening_text(SPEC, scenario("announce")) == f"{first} This call is recorded. Does Thursday work?"
    assert opening_text(SPEC, scenario("ask")) == f"{first} May I record this call?"
    assert opening_rest(SPEC, scenario("ask")) == "Does Thursday work?"
    for mode in ("off", "silent"):
        assert opening_text(SPEC, scenario(mode)) == f"{first} Does Thursday work?"


@dataclass
class Tape:
    kept: bool = False
    log: list[str] = field(default_factory=list)

    async def begin(self, at_ms: float) -> None:
        self.kept = True
        self.log.append(f"begin {at_ms:.0f}")

    async def stop(self, *, delete: bool) -> None:
        self.kept = self.kept and not delete
        self.log.append("delete" if delete else "stop")


class Bench:
    """A call of which only the recording is looked at."""

    def __init__(self, mode: str, **more: object) -> None:
        self.said: list[str] = []
        self.tape = Tape(kept=mode != "ask")
        self.user = SimpleNamespace(hear_only=lambda: None, answer_now=lambda: None, answering=False)
        self.models = 0
        stages = SimpleNamespace(
            user=self.user,
            line=SimpleNamespace(media_ms=5000),
            changed=SimpleNamespace(set=lambda: None),
            say=self._say,
            note=lambda text: None,
            run_model=self._run,
        )
        plan = SimpleNamespace(scenario=scenario(mode, **more), spec=SPEC)
        self.talk = RecordingTalk(
            cast(Any, plan),
            cast(Any, stages),
            None if mode == "off" else self.tape,
            at_person=lambda: True,
            in_gap=lambda: True,
        )

    async def _say(self, text: str) -> None:
        self.said.append(text)

    async def _run(self) -> None:
        self.models += 1

    async def answers(self, text: str) -> None:
        self.talk.note_speech()
        self.talk.note_words(text)
        await self.talk.attend()
        self.talk.note_turn_over(text)
        await self.talk.attend()

    def opened(self) -> None:
        self.talk.opening_said()
        self.talk.note_agent_turn(opening_text(SPEC, self.talk._plan.scenario) or "")


async def test_with_a_yes_it_begins_and_the_opening_goes_on() -> None:
    bench = Bench("ask")
    bench.opened()
    assert bench.talk.awaiting
    await bench.answers("Yes, sure.")
    assert bench.tape.log == ["begin 4300"]
    assert bench.said == ["Thank you. Does Thursday work?"]
    consent = bench.talk.consent
    assert consent is not None
    assert (consent.mode, consent.said, consent.recording) == ("ask", "May I record this call?", "kept")
    assert (consent.answer, consent.words) == (ConsentAnswer.YES, "Yes, sure.")
    assert consent.said_at is not None
    assert consent.answered_at is not None


@pytest.mark.parametrize("text", ["No, thanks.", "What is it about?"])
async def test_without_one_the_call_goes_on_unrecorded(text: str) -> None:
    bench = Bench("ask")
    bench.opened()
    await bench.answers(text)
    assert bench.tape.log == []
    assert bench.said == ["All right, this call is not recorded. Does Thursday work?"]
    consent = bench.talk.consent
    assert consent is not None
    assert consent.recording == "none"
    assert consent.answer is not ConsentAnswer.YES


async def test_a_greeting_is_no_answer() -> None:
    bench = Bench("ask")
    bench.talk.note_turn_over("Hello?")  # which the opening answers
    bench.opened()
    await bench.answers("Hello?")
    assert bench.said == ["May I record this call?"]
    assert bench.talk.awaiting
    assert bench.talk.ask_again() == "May I record this call?"


@pytest.mark.parametrize(
    ("mode", "on_refusal", "log", "fate", "said"),
    [
        ("announce", "delete", ["delete"], "deleted", "I have stopped the recording and deleted it."),
        ("announce", "stop", ["stop"], "stopped", "I have stopped the recording."),
        ("silent", "delete", ["delete"], "deleted", "I have stopped the recording and deleted it."),
        ("off", "delete", [], "none", "All right, this call is not recorded."),
    ],
)
async def test_an_objection_at_any_time(mode: str, on_refusal: str, log: list[str], fate: str, said: str) -> None:
    bench = Bench(mode, on_refusal=on_refusal)
    bench.opened()
    await bench.answers("Yes, Thursday is fine.")
    assert bench.tape.log == []
    bench.talk.note_words("Please don't record")
    await bench.talk.attend()
    assert bench.tape.log == log, "at its first words"
    bench.talk.note_turn_over("Please don't record this call.")
    await bench.talk.attend()
    assert bench.said == [said]
    assert bench.models == 1, "and the call goes on"
    consent = bench.talk.consent
    assert consent is not None
    assert (consent.answer, consent.recording) == (ConsentAnswer.NO, fate)
    assert consent.words == "Please don't record"


async def test_an_announcement_that_was_cut_off_is_made_again() -> None:
    bench = Bench("announce")
    bench.talk.opening_said()
    bench.talk.note_agent_turn("Hi John, this is Kim, an AI assistant. This —")
    assert bench.talk.consent is None
    await bench.talk.attend()
    assert bench.said == ["This call is recorded."]
    bench.talk.note_agent_turn("This call is recorded.")
    consent = bench.talk.consent
    assert consent is not None
    assert consent.said_at is not None
