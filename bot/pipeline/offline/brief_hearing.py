"""What a callee's words mean to the brief brain: intents, questions, times, answers to a field. Pure.

As `understanding` for English, with everything that is a language's own in a `Tongue`.
"""

from __future__ import annotations

from bot.languages import plain
from bot.pipeline.offline.brain_facts import BrainField
from bot.pipeline.offline.brief_facts import sentences
from bot.pipeline.offline.tongue import Tongue
from bot.pipeline.offline.understanding import Intent


def meant_by(words: str, tongue: Tongue) -> frozenset[Intent]:
    """Everything the words may mean; several at once is usual."""
    return frozenset(intent for intent, wording in tongue.meanings.items() if wording.found_in(words))


def parted(heard: str, tongue: Tongue) -> tuple[list[str], list[str]]:
    """The parts of what was heard, and those of them that ask. Recognisers leave the marks out."""
    parts = [part for piece in sentences(heard) for part in tongue.turn.split(piece) if plain(part)]
    return parts, [part for part in parts if part.rstrip().endswith("?") or tongue.asks.found_in(part)]


def time_said(words: str, tongue: Tongue) -> str | None:
    """The last day or time named that is not refused in its clause."""
    found = None
    for clause in tongue.clauses.split(words):
        if tongue.refused.found_in(clause):
            continue
        for match in tongue.time.finditer(clause):
            found = match.group(0).strip()
    return found


def parsed(spec: BrainField, heard: str, tongue: Tongue) -> bool | int | str | None:
    """The field's value in the words; None without one."""
    words, meant = plain(heard).split(), meant_by(heard, tongue)
    if spec.type == "boolean":
        if meant & {Intent.NO, Intent.DECLINE}:
            return False
        return True if Intent.YES in meant else None
    if spec.type == "number":
        said = [w for w in words if w in tongue.numbers or (w.isascii() and w.isdigit())]
        # "Un nueve" is nine: an article counts where no other number does.
        said = [w for w in said if w not in tongue.small_words] or said
        return (tongue.numbers[said[0]] if said[0] in tongue.numbers else int(said[0])) if said else None
    if spec.type == "choice":
        whole = f" {' '.join(words)} "
        return next((o for o in spec.options if f" {plain(o.replace('_', ' '))} " in whole), None)
    return heard.strip(" .") or None
