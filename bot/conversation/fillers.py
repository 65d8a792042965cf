"""Short phrases that fill a wait ("One moment."): made ahead in the call's own voice, played past the pipeline.

A phrase queued at the top of the pipeline would wait behind the model whose slowness it is to cover, and a
phrase sent to the voice right away would wait for the voice. So each is synthesised once per process, voice
and language, while a phone rings, and played straight onto the line. One that is not ready is not said: the
local voice would be somebody else's.

What was heard of a filler stands in the transcript, and in the context it begins the reply that follows:
"One moment. Yes, Thursday works." A message of its own would end the next request with the assistant's words.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from loguru import logger

from bot.audio import Speech
from bot.conversation import opening
from bot.errors import PhoneAgentError
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import FILLER, LineOutput
from bot.pipeline.resources import Resources
from bot.pipeline.tts.vendors import TtsVendor
from bot.pipeline.usage import NO_USAGE, Usage

KEPT_PHRASES = 256
"""Per process; a phrase of two seconds is 32 kB."""
AFTER_WORDS_SECONDS = 4.0
"""How long a tool may take in silence after a reply that announced it."""
TRY_AGAIN_SECONDS = 0.2
_Key = tuple[str, str, str, frozenset[tuple[str, str]]]
_AS_WRITTEN: Mapping[str, str] = {}


class PhraseBook:
    """Spoken phrases of this process, by voice, language and text. Its owner awaits `prepare`."""

    def __init__(self, resources: Resources, *, keep: int = KEPT_PHRASES) -> None:
        self._resources = resources
        self._keep = keep
        self._spoken: OrderedDict[_Key, Speech] = OrderedDict()
        self._making: set[_Key] = set()

    def get(
        self, voice: TtsVendor, language: str, text: str, said: Mapping[str, str] = _AS_WRITTEN
    ) -> Speech | None:
        """None while it is not ready. `said`: the scenario's pronunciations."""
        key = _key(voice, language, text, said)
        speech = self._spoken.get(key)
        if speech is not None:
            self._spoken.move_to_end(key)
        return speech

    async def prepare(
        self,
        voice: TtsVendor,
        language: str,
        texts: Iterable[str],
        said: Mapping[str, str] = _AS_WRITTEN,
        *,
        usage: Usage = NO_USAGE,
    ) -> None:
        """Synthesise what is not there yet, one after the other; what fails is tried for at the next call.

        `usage`: of the call that needs it first, which pays for all that follow.
        """
        for text in texts:
            key = _key(voice, language, text, said)
            if not text or key in self._spoken or key in self._making:
                continue
            self._making.add(key)
            try:
                speech = await opening.speak(
                    self._resources, voice, text, language=language, pronunciation=said, usage=usage
                )
            except PhoneAgentError as e:
                logger.warning("the phrase {!r} could not be prepared by {}: {}", text, e.provider, e.message)
                return  # a voice that fails now fails for the others too
            except Exception as e:
                logger.opt(exception=e).error("the phrase {!r} could not be prepared", text)
                return
            finally:
                self._making.discard(key)
            self._spoken[key] = speech
            while len(self._spoken) > self._keep:
                self._spoken.popitem(last=False)


class Fillers:
    """The phrases of one call. `spoken` gives a phrase's audio in the call's voice, None while there is none."""

    def __init__(
        self,
        line: Line,
        output: LineOutput,
        phrases: Sequence[str],
        *,
        spoken: Callable[[str], Speech | None],
        may_speak: Callable[[], bool],
    ) -> None:
        self._line = line
        self._output = output
        self._phrases = tuple(phrases)
        self._spoken = spoken
        self._may_speak = may_speak
        self._next_index = 0
        self._about_to_sound = False

    def say(self, text: str | None = None) -> bool:
        """Play `text`, or the next of the call's fillers; False where nothing was played.

        That is: it is not ready, the agent is heard or about to be or pauses for a sound, or `may_speak` says no
        (the callee speaks, the call is ending).
        """
        if not self._line.idle or self._line.held or not self._may_speak():
            return False
        speech = self._next() if text is None else self._spoken(text)
        if speech is None:
            return False
        self._about_to_sound = True
        self._output.speak(speech, context_id=FILLER, begins_reply=True)
        return True

    def begins_to_sound(self) -> bool:
        """Whether what begins to sound on the silent line now is a filler; to be asked once, right then."""
        about, self._about_to_sound = self._about_to_sound, False
        return about

    def _next(self) -> Speech | None:
        """The fillers in turn, those that are ready."""
        for step in range(len(self._phrases)):
            index = (self._next_index + step) % len(self._phrases)
            speech = self._spoken(self._phrases[index])
            if speech is not None:
                self._next_index = index + 1
                return speech
        return None


class Bridge:
    """What is said while tools work. `say` plays a phrase and returns whether it did; `working` is called
    at the beginning and the end of a wait.

    One phrase a wait, however many tools work at once. It comes after a second where the reply that called the
    tool had no words; where it had some ("Let me look that up."), only when the tool takes long. The phrase that
    is due waits until it can be said: while somebody speaks there is no silence to fill.
    `phrases` are taken in turn where a tool names none of its own.
    """

    def __init__(
        self,
        phrases: Sequence[str],
        *,
        after_seconds: float,
        say: Callable[[str], bool],
        working: Callable[[bool], None],
    ) -> None:
        self._phrases = tuple(phrases)
        self._after_seconds = after_seconds
        self._say = say
        self._working = working
        self._tools = 0
        self._bridged = False
        self._next = 0

    @asynccontextmanager
    async def over(self, meanwhile: str | None, *, announced: bool) -> AsyncIterator[None]:
        """Bridges the block. `announced`: the reply had words. `meanwhile` "" says nothing."""
        self._tools += 1
        if self._tools == 1:
            self._bridged = False
            self._working(True)
        bridging = asyncio.create_task(self._bridge(meanwhile, announced=announced), name="bridge")
        try:
            yield
        finally:
            bridging.cancel()
            self._tools -= 1
            if self._tools == 0:
                self._working(False)
            await asyncio.gather(bridging, return_exceptions=True)

    async def _bridge(self, meanwhile: str | None, *, announced: bool) -> None:
        wait = max(self._after_seconds, AFTER_WORDS_SECONDS) if announced else self._after_seconds
        await asyncio.sleep(wait)
        while not self._bridged:
            phrase = meanwhile
            if phrase is None and self._phrases:
                phrase = self._phrases[self._next % len(self._phrases)]
            if not phrase:
                return
            if self._say(phrase):
                self._bridged = True
                self._next += meanwhile is None
                return
            await asyncio.sleep(TRY_AGAIN_SECONDS)


def _key(voice: TtsVendor, language: str, text: str, said: Mapping[str, str]) -> _Key:
    return (voice.model_dump_json(), language, text, frozenset(said.items()))
