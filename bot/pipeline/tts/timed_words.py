"""Says of each spoken word where it stands in its audio."""

from __future__ import annotations

from pipecat.frames.frames import Frame, TTSTextFrame
from pipecat.processors.frame_processor import FrameDirection

from bot.pipeline.pipecat_internals import word_baseline

CHARACTER_MS = 65.0
"""Some fifteen characters a second: English at a telephone's pace."""


class TimedWords:
    """A mixin of TTS services: `metadata["offset_ms"]`, from the context's first sample.

    pipecat turns word times into presentation times of the moment of sending. The line needs the offset
    itself: it knows when each sample is heard. Where two sentences touch without a space, and at the end of
    a reply, pipecat gives a word the time of the word before it; that one is placed by the length of the
    other. A word that was timed by a voice before this one keeps its place.
    """

    _last_word: tuple[str | None, float, float] = (None, 0.0, 0.0)
    """Context, given offset, and estimated end of the word before, in ms."""

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TTSTextFrame) and frame.pts is not None and "offset_ms" not in frame.metadata:
            baseline = word_baseline(self)
            if baseline is not None:
                frame.metadata["offset_ms"] = self._place(frame, (frame.pts - baseline) / 1e6)
        await super().push_frame(frame, direction)  # type: ignore[misc]  # a mixin

    def _place(self, frame: TTSTextFrame, given_ms: float) -> float:
        context, last_given_ms, last_end_ms = self._last_word
        moved = context == frame.context_id and given_ms <= last_given_ms
        start_ms = last_end_ms if moved else given_ms
        end_ms = start_ms + CHARACTER_MS * (len(frame.text.strip()) + 1)
        self._last_word = (frame.context_id, given_ms, end_ms)
        return start_ms
