"""What is right: rules over the evidence of a call, each with its number from the issue.

A rule gives a judgement: right or why not, and the delay it is about. Delays are ms at the callee's ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.records import AnsweredBy
from tests.benchmarks.evidence import Evidence, plain, recital

SLACK_MS = 60.0
"""Of the measurement: three frames of the line."""
RESUME_MS = 1000.0
"""The issue: after a noise or a backchannel the speech goes on within a second."""
OPEN_MS = 700.0
"""The issue: the opening begins at most so long after the hello's end."""
UNSPOKEN_OPEN_MS = 1500.0
"""The issue: when nobody speaks."""
STOP_MS = 400.0
"""The issue: the VAD's 200 ms from the onset of speech, 50 ms to the clear, and the two ways of the audio."""
OWED_MS = 3200.0
"""The issue: a reply that is due makes a sound within 2.5 s. It is due when the turn is over, some 400 ms after
the last sound of the speech; the filler itself takes a little."""
FILLER_WORDS = 4
"""As many may come before an answer."""
REPLY_MS = 1500.0
"""A reply that is later than that feels like a bad line."""


@dataclass(frozen=True)
class Judgement:
    right: bool
    why: str = ""
    delay_ms: float | None = None


class Rule(Protocol):
    def judge(self, evidence: Evidence) -> Judgement: ...


def _wrong(why: str, delay_ms: float | None = None) -> Judgement:
    return Judgement(False, why, delay_ms)


@dataclass(frozen=True)
class Answers:
    """The agent is quiet until `to` is over, then answers with all of `text` within `within_ms`.

    `since`: the act whose end begins its silence, the start of `to` by default. The delay is voice to voice.
    """

    to: str
    text: str
    within_ms: float = REPLY_MS
    since: str | None = None

    def judge(self, evidence: Evidence) -> Judgement:
        asked = evidence.named(self.to)
        began = evidence.named(self.since).end_ms if self.since else asked.start_ms
        early = evidence.sounding_ms(began + (0.0 if self.since else SLACK_MS), asked.end_ms)
        answered = evidence.onset_after(asked.end_ms)
        if early > SLACK_MS:
            at = evidence.sound_after(began + SLACK_MS) or began
            return _wrong(f"speaks {asked.end_ms - at:.0f} ms before the callee has finished")
        if answered is None:
            return _wrong("never answers")
        delay = answered - asked.end_ms
        said = recital(self.text, evidence.words, after_ms=asked.end_ms)
        if said is None:
            return _wrong(f"answers with {evidence.text_after(asked.end_ms)[:60]!r}", delay)
        if not said.whole:
            return _wrong(f"lost of its answer: {' '.join(said.missing)}", delay)
        before = evidence.words_within(answered, said.start_ms)
        if len(before) > FILLER_WORDS:
            return _wrong(f"first says {' '.join(word.text for word in before)[:60]!r}", delay)
        if delay > self.within_ms:
            return _wrong(f"answers after {delay:.0f} ms", delay)
        return Judgement(True, delay_ms=delay)


@dataclass(frozen=True)
class GoesOn:
    """All of `text` is heard once, in order, whatever is heard over it; a pause in it is under a second.

    Nothing is said afterwards for `quiet_ms`, unless it may be `answered`. The delay is the longest
    pause, 0 where it never paused.
    """

    text: str
    over: str
    quiet_ms: float = 1500.0
    answered: bool = False

    def judge(self, evidence: Evidence) -> Judgement:
        noise = evidence.named(self.over)
        said = recital(self.text, evidence.words)
        if said is None:
            return _wrong("never says it")
        if not evidence.sounding_ms(noise.start_ms - 100, noise.start_ms + SLACK_MS):
            return _wrong(f"the situation came too late: {self.over!r} over silence")
        pause = evidence.longest_silence_ms(said.start_ms, said.end_ms)
        if not said.whole:
            resumed = evidence.text_after(noise.start_ms + 300)[:60]
            return _wrong(f"lost: {' '.join(said.missing)[:60]}; then said {resumed!r}", pause)
        if said.repeated > 2:
            return _wrong(f"said {said.repeated} words twice or in between", pause)
        if pause > RESUME_MS:
            return _wrong(f"resumed after {pause:.0f} ms", pause)
        more = evidence.words_within(said.end_ms, said.end_ms + self.quiet_ms)
        if more and not self.answered:
            return _wrong(f"then said {' '.join(word.text for word in more)[:60]!r}", pause)
        return Judgement(True, delay_ms=pause)


@dataclass(frozen=True)
class Stops:
    """The agent falls silent within `within_ms` of the onset of `at` and stays so until it is over.

    What it tells the model it said is what was heard, plus or minus a word; the record shows the cut.
    """

    at: str
    within_ms: float = STOP_MS
    cut: bool = True

    def judge(self, evidence: Evidence) -> Judgement:
        spoken = evidence.named(self.at)
        if not evidence.sounding_ms(spoken.start_ms - 100, spoken.start_ms + SLACK_MS):
            return _wrong(f"the situation came too late: {self.at!r} over silence")
        until = max(spoken.end_ms, spoken.start_ms + self.within_ms + SLACK_MS)
        silent_at = max(min(span.end_ms, until) for span in evidence.sounds if span.start_ms < until)
        delay = max(0.0, silent_at - spoken.start_ms)
        if delay > self.within_ms:
            return _wrong(f"sounds for {delay:.0f} ms into the interruption", delay)
        if not self.cut:
            return Judgement(True, delay_ms=delay)
        heard = [key for word in evidence.words if word.end_ms <= silent_at + 60 for key in plain(word.text)]
        if (kept := _kept_words(evidence, heard)) is not None:
            return _wrong(kept, delay)
        turns = [t for t in evidence.record.get("transcript", ()) if t["speaker"] == "agent"]
        if not any(turn["interrupted"] for turn in turns):
            return _wrong("the record shows no interruption", delay)
        return Judgement(True, delay_ms=delay)


def _kept_words(evidence: Evidence, heard: list[str]) -> str | None:
    """Why the context that was asked with after the interruption is not what was heard; None: it is."""
    later = [e for e in evidence.requests if e.request.stream][-1:]
    if not later:
        return None
    said = [m for m in later[0].request.messages if m["role"] == "assistant"]
    texts: list[str] = []
    for message in said:
        content = message["content"]
        blocks = [content] if isinstance(content, str) else [b.get("text", "") for b in content]
        texts += [key for block in blocks for key in plain(block)]
    kept = len(texts)
    common = _common_prefix(texts, heard)
    if abs(kept - len(heard)) <= 1 and kept - common <= 1:
        return None
    return f"{len(heard)} words were heard, the model was told {kept}: …{' '.join(texts[-3:])!r}"


def _common_prefix(one: list[str], other: list[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


@dataclass(frozen=True)
class Opens:
    """The first sound of the agent, `within_ms` after `after`'s end (None: after the line opened).

    `not_before_ms`: counted from the same moment. All of `text` is heard.
    """

    text: str
    after: str | None = None
    within_ms: float = OPEN_MS
    not_before_ms: float = 0.0

    def judge(self, evidence: Evidence) -> Judgement:
        since = evidence.named(self.after).end_ms if self.after else 0.0
        if self.after and evidence.sounding_ms(0.0, since) > SLACK_MS:
            first = evidence.sound_after(0.0) or 0.0
            return _wrong(f"opens {since - first:.0f} ms before the greeting's end")
        first_sound = evidence.onset_after(since)
        if first_sound is None:
            return _wrong("never opens")
        delay = first_sound - since
        if delay < self.not_before_ms:
            return _wrong(f"opens after {delay:.0f} ms already", delay)
        if delay > self.within_ms + SLACK_MS:
            return _wrong(f"opens after {delay:.0f} ms", delay)
        said = recital(self.text, evidence.words, after_ms=since)
        if said is None or not said.whole:
            lost = "all" if said is None else " ".join(said.missing)
            return _wrong(f"lost of the opening: {lost[:60]}", delay)
        if said.longest_pause_ms > RESUME_MS:
            return _wrong(f"the opening pauses for {said.longest_pause_ms:.0f} ms", delay)
        return Judgement(True, delay_ms=delay)


@dataclass(frozen=True)
class Says:
    """All of `text` is heard, beginning within `within_ms` of `after`'s end and not before it."""

    text: str
    after: str
    within_ms: float
    not_before_ms: float = 0.0
    longest_pause_ms: float = RESUME_MS

    def judge(self, evidence: Evidence) -> Judgement:
        since = evidence.named(self.after).end_ms
        said = recital(self.text, evidence.words, after_ms=since - SLACK_MS)
        if said is None:
            return _wrong(f"never says it; says {evidence.text_after(since)[:60]!r}")
        delay = said.start_ms - since
        if not said.whole:
            return _wrong(f"lost: {' '.join(said.missing)[:70]}", delay)
        if not self.not_before_ms - SLACK_MS <= delay <= self.within_ms + SLACK_MS:
            return _wrong(f"says it after {delay:.0f} ms", delay)
        if said.longest_pause_ms > self.longest_pause_ms:
            return _wrong(f"pauses for {said.longest_pause_ms:.0f} ms in it", delay)
        return Judgement(True, delay_ms=delay)


@dataclass(frozen=True)
class Sounds:
    """The agent makes a sound within `within_ms` of `after`'s end: a filler, an apology, anything."""

    after: str
    within_ms: float = OWED_MS

    def judge(self, evidence: Evidence) -> Judgement:
        since = evidence.named(self.after).end_ms
        sound = evidence.onset_after(since)
        if sound is None:
            return _wrong("is silent for ever")
        delay = sound - since
        return (
            Judgement(True, delay_ms=delay)
            if delay <= self.within_ms + SLACK_MS
            else _wrong(f"is silent for {delay:.0f} ms", delay)
        )


@dataclass(frozen=True)
class Silent:
    """The agent is not heard from the end of `since` (None: the line's opening) to the start of `until`.

    `until` None: `for_ms` later.
    """

    since: str | None
    until: str | None = None
    for_ms: float = 2000.0

    def judge(self, evidence: Evidence) -> Judgement:
        start = evidence.named(self.since).end_ms + SLACK_MS if self.since else 0.0
        end = evidence.named(self.until).start_ms if self.until else start + self.for_ms
        sounding = evidence.sounding_ms(start, end)
        if sounding > SLACK_MS:
            words = " ".join(word.text for word in evidence.words_within(start, end))
            return _wrong(f"is heard where it should be silent: {words[:60]!r}")
        return Judgement(True)


@dataclass(frozen=True)
class Never:
    """None of these words are heard in a row."""

    text: str

    def judge(self, evidence: Evidence) -> Judgement:
        said = recital(self.text, evidence.words)
        if said is not None and said.whole:
            return _wrong(f"says {self.text[:50]!r}")
        return Judgement(True)


@dataclass(frozen=True)
class Ends:
    """The call ends by the agent's side, with one of these ended_reasons; so long after `after`'s end."""

    reasons: tuple[str, ...]
    after: str | None = None
    within_ms: float | None = None

    def judge(self, evidence: Evidence) -> Judgement:
        reason = evidence.record.get("ended_reason")
        if reason not in self.reasons:
            return _wrong(f"ended_reason {reason}, not {' or '.join(self.reasons)}")
        if evidence.phone.hung_up:
            return _wrong("the agent's side never hung up")
        if self.after is None:
            return Judgement(True)
        delay = max(0.0, evidence.phone.now_ms - evidence.named(self.after).end_ms)
        if self.within_ms is not None and delay > self.within_ms:
            return _wrong(f"hangs up after {delay:.0f} ms", delay)
        return Judgement(True, delay_ms=delay)


@dataclass(frozen=True)
class Lives:
    """The call is held to the end the callee gives it."""

    def judge(self, evidence: Evidence) -> Judgement:
        if not evidence.phone.hung_up:
            return _wrong(f"the call was lost: {evidence.record.get('ended_reason')}")
        return Judgement(True)


@dataclass(frozen=True)
class AsksModel:
    """The model that talks is asked so often at most."""

    most: int

    def judge(self, evidence: Evidence) -> Judgement:
        asked = sum(exchange.request.stream for exchange in evidence.requests)
        return Judgement(True) if asked <= self.most else _wrong(f"asks the model {asked} times")


@dataclass(frozen=True)
class TakenFor:
    """The record says that this is who answered."""

    who: AnsweredBy

    def judge(self, evidence: Evidence) -> Judgement:
        found = evidence.record.get("answered_by")
        return Judgement(True) if found == self.who else _wrong(f"taken for {found}")


@dataclass(frozen=True)
class Records:
    """The record's outcome holds this value of a field, and the goal is reached or not."""

    field: str
    value: object
    reached: bool

    def judge(self, evidence: Evidence) -> Judgement:
        outcome = evidence.record.get("outcome") or {}
        found = outcome.get("fields", {}).get(self.field), outcome.get("reached_goal")
        right = found == (self.value, self.reached)
        return Judgement(True) if right else _wrong(f"{self.field} is {found[0]!r}, goal reached: {found[1]}")


@dataclass(frozen=True)
class Types:
    """The transcript has these keys as a turn of the callee's."""

    keys: str

    def judge(self, evidence: Evidence) -> Judgement:
        typed = [turn["text"] for turn in evidence.record.get("transcript", ()) if turn.get("keys")]
        return Judgement(True) if typed == [self.keys] else _wrong(f"keys in the transcript: {typed}")


@dataclass(frozen=True)
class Presses:
    """These digits reached the callee's side."""

    digits: str

    def judge(self, evidence: Evidence) -> Judgement:
        pressed = evidence.phone.digits
        return Judgement(True) if pressed == self.digits else _wrong(f"pressed {pressed!r}, not {self.digits!r}")
