"""What tells of who picked up: the words of machines, and what the carrier heard."""

from collections.abc import Callable

from bot.languages import Language
from bot.records import AnsweredBy
from bot.telephony.carrier import Detection


class Detections:
    """What the carrier has heard of who answered one call; kept until the call listens."""

    def __init__(self) -> None:
        self._heard: list[Detection] = []
        self._listener: Callable[[Detection], None] = self._heard.append

    def report(self, detection: Detection) -> None:
        self._listener(detection)

    def listen(self, listener: Callable[[Detection], None]) -> None:
        """From now on `listener` gets them, first those that came before."""
        self._listener = listener
        while self._heard:
            listener(self._heard.pop(0))


def machine_of(words: str, language: Language, *, spoken_to: bool = False) -> AnsweredBy | None:
    """Which machine these are the words of; None for a person's. `spoken_to`: the agent has spoken before.

    Receptionists say "he is not available" and "you've reached the front desk", and offer to take a message
    once they are spoken to. A mailbox says "the person is not available" before it asks for a message.
    """
    answering = language.answering
    if answering.screening.found_in(words):
        return AnsweredBy.SCREENING
    if answering.mailbox_full.found_in(words):
        return AnsweredBy.UNAVAILABLE
    queued = answering.queue.found_in(words)
    if spoken_to and answering.speaks_of_messages.found_in(words):
        return None
    if answering.tone.found_in(words) or (answering.voicemail.found_in(words) and not queued):
        return AnsweredBy.VOICEMAIL
    if queued and not answering.menu.found_in(words):
        return AnsweredBy.HOLD
    if answering.unavailable.found_in(words):
        return AnsweredBy.UNAVAILABLE
    if answering.menu.found_in(words):
        return AnsweredBy.MENU
    if not spoken_to and answering.asks_for_message.found_in(words):
        return AnsweredBy.VOICEMAIL
    if answering.patience.found_in(words) and not answering.taking_over.found_in(words):
        return AnsweredBy.HOLD
    return None
