"""What a TTS service is given of the text it is to speak, and what was written of it."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipecat.utils.context.word_completion_tracker import WordCompletionTracker

from bot.audio import TimedWord
from bot.languages.speech_forms import SpeechForms
from bot.pipeline.tts.markup import without_markup
from bot.pipeline.tts.speech_text import speech_text

REMEMBERED_PIECES = 64
"""Clauses and sentences: more than a reply has."""


class SpokenText:
    """What one TTS service is given of the text it is to speak: pipecat's `TextTransform`, with a way back.

    Without `forms` only markup is taken out.
    """

    def __init__(self, forms: SpeechForms | None, pronunciation: Mapping[str, str]) -> None:
        self._rules = speech_text(forms, pronunciation) if forms else None
        self._pieces: deque[tuple[str, str]] = deque(maxlen=REMEMBERED_PIECES)
        """Written and spoken, in the order they were given."""

    async def __call__(self, text: str, text_type: str) -> str:
        plain = without_markup(text)
        spoken = self._rules.spoken(plain) if self._rules else plain
        self._pieces.append((plain, spoken))
        return spoken

    def written_words(self, words: Iterable[TimedWord]) -> tuple[TimedWord, ...]:
        """The last piece's spoken words as what they stand for: "$5" where "five dollars" ends."""
        plain, spoken = self._pieces[-1]
        tracker = WordCompletionTracker(spoken, llm_text=plain, user_facing_text=plain)
        written = []
        for word in words:
            tracker.add_word_and_check_complete(word.text)
            stands_for = (tracker.get_llm_consumed() or "").strip()
            if stands_for and not tracker.suppress_in_context():
                written.append(replace(word, text=stands_for))
        return tuple(written)

    def written(self, rest: str) -> str:
        """What was written of `rest`, which ends with a piece; `rest` itself where it is not known."""
        left, written = " ".join(rest.split()), ""
        for plain, spoken in reversed(self._pieces):
            if not left:
                break
            if left.endswith(spoken):
                left, written = left.removesuffix(spoken).strip(), f"{plain} {written}"
            elif spoken.endswith(left):
                tracker = WordCompletionTracker(spoken, llm_text=plain, user_facing_text=plain)
                for word in spoken.removesuffix(left).split():
                    tracker.add_word_and_check_complete(word)
                left, written = "", f"{tracker.get_remaining_user_facing_text()} {written}"
            elif written:
                return rest
        return f"{left} {written}".strip()
