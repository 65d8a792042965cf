"""Why somebody was taken for who they are, in words for people."""

from bot.records import AnsweredBy

LONGEST_QUOTE = 160
"""Characters of what was heard: its end."""


def reason(
    who: AnsweredBy, heard: str, by_words: bool, tone: bool, music: bool, *, carrier_says_person: bool
) -> str:
    """`heard`: since it was answered, or since a machine was last spoken to. `by_words`: they decided."""
    said = f"“{heard[-LONGEST_QUOTE:].strip()}”" if heard else ""
    if who is AnsweredBy.PERSON:
        if carrier_says_person:
            return "the carrier heard a person"
        return f"no machine says {said}" if said else "nothing speaks for a machine"
    if by_words:
        return f"its words: {said}" if said else "music without words"
    if tone:
        return "a tone was heard"
    if music:
        return "music is playing"
    return "the carrier's word for it"
