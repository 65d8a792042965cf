"""What a callee's words mean, by rule: intents, times, numbers, names. Pure; words are data, never orders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache


class Intent(StrEnum):
    YES = "yes"
    NO = "no"
    GOODBYE = "goodbye"
    THANKS = "thanks"
    GREETING = "greeting"
    WHO = "who"
    WHY = "why"
    REPEAT = "repeat"
    ROBOT = "robot"
    HOLD = "hold"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    LATER = "later"
    MESSAGE = "message"
    ORDERS = "orders"
    HOW_ARE_YOU = "how_are_you"
    DECLINE = "decline"
    """Does not want to go on with what is asked."""


_RULES: dict[Intent, str] = {
    Intent.HOW_ARE_YOU: r"how('s it going| are you( (doing|today))*$| are you doing|'re you doing| do you do$)",
    Intent.DECLINE: r"not interested|(do not|don'?t) (want|like|wish) to (answer|continue|go on|talk|participate"
    r"|do)|(don'?t|do not) have (any )?(time|a minute|a moment)|no (more )?time|(i'?d|i would|i) (rather"
    r"|prefer to) not|rather not|no more questions|stop asking|leave me alone",
    Intent.DO_NOT_CALL: r"(do not|don'?t|never|stop|quit) (you )?(ever |dare )?call(ing)?"
    r"( (me|us|here|this number|my (phone|number|house|home)|my (cell|mobile)( phone)?))*"
    r"( please)?( ever)?( again| any ?more|$)|(take|get) (me|us|(this|my) (name|number)) (off|out)"
    r"|(remove|delete|erase) (me|us|(this|my) (name|number)) (off|from|out)"
    r"|(delete|erase|lose) (my|this) (phone )?(name|number)|unsubscribe"
    r"|stop (phoning|bothering|ringing|harassing)|do[ -]not[ -]call (list|register|registry)"
    r"|(do not|don'?t|never) (want|wish|like) (to (be called|get|receive|have)( any| more)*( calls?)?"
    r"|any(more)?( more)? calls?|you( guys| people)? (to call|calling))(?! back)( me| us| here)*( from you)?"
    r"( again| any ?more|$)|no more (phone )?calls",
    Intent.WRONG_NUMBER: r"wrong (number|person)|(no ?(one|body)|not anyone) (here )?(by|with|called|named|of) "
    r"|(there('s| is) no|i don'?t know (any|a)) \w+ (here|at this number)|not the (right )?person you",
    Intent.ORDERS: r"(ignore|forget|disregard|override) (\w+ ){0,4}(instructions?|prompts?|rules"
    r"|everything|training)"
    r"|system prompt|you are now|pretend (to be|you)|act as (a|an|if)|developer mode|new instructions"
    r"|(reveal|print|show|read)( me)? (your|the) (\w+ )?(prompt|instructions|context|rules)",
    Intent.ROBOT: r"(are|is) (you|this|that) (\w+ )?(a |an )?(real )?(robot|bot|machine|ai\b|a\.?i\.?"
    r"|computer|human|person"
    r"|recording|real person|automated|artificial)|(talking|speaking) (to|with) (a |an )?(robot|bot"
    r"|machine|ai\b|computer"
    r"|human|person|real|recording)",
    Intent.WHO: r"who('s| is| are|'re) (this|calling|you|there|that|speaking)|who am i (speaking|talking)"
    r"|(what|which) (company|organi[sz]ation|office|place|clinic) (is this|are you|do you)"
    r"|who do you (work|call)"
    r"|(what's|what is) your name|your name again",
    Intent.WHY: r"why (are|did|do|would) you (call|ring|phon)|why am i (getting|being)"
    r"|what('s| is) (this|it|that) (call )?(about|regarding|for"
    r"|concerning)|what do you want"
    r"|reason for (your|the|this) call|what are you calling|how can i help you|what can i do for you",
    Intent.REPEAT: r"repeat (that|it|the|yourself|please)|say (that|it) again|(can|could"
    r"|would) you repeat|\bpardon\b|come again"
    r"|what did you say|what was that|(didn'?t|did not|couldn'?t|can'?t|cannot) (quite )?(catch|hear"
    r"|understand|get) (that|you|it)"
    r"|^(sorry|what|huh|excuse me)( (what|sorry))?$|one more time|you('re| are) breaking up"
    r"|(what|how) do you mean|(do not|don't) understand|what('s| is) the question|what was the question",
    Intent.HOLD: r"hold (on|the line|please)|^(please )?hold$|hang on|^(please |just )?wait( a| for"
    r"| please| up|$)|(just |one |give me )+(a "
    r"|one )?(moment|second|sec|minute|min)\b"
    r"|bear with me|let me (check|look|see|get|grab)",
    Intent.LATER: r"call (me |us )?(back|later|again|another)|(not|isn'?t) (a|the) (good|best"
    r"|great) (time|moment)|i'?m (\w+ )?(busy|driving"
    r"|in a meeting|at work)|busy right now|bad time|can'?t talk|(try|ring) (me )?(again|later|back)",
    Intent.RESCHEDULE: r"re-?schedul\w*|(another|different|other|new|later|earlier|better) (time|day|date"
    r"|slot|appointment)"
    r"|(move|change|push|postpone|switch) (it|that|this|my|the)\b|postpone|(doesn'?t|does not|won'?t"
    r"|will not|not going to|not) work"
    r"|(can'?t|cannot|won'?t|not able to|unable to) (make|come|do|be there|attend)",
    Intent.CANCEL: r"\bcancel\w*|(don'?t|do not|no longer) (want|need) (it|the|that|this|my)",
    Intent.MESSAGE: r"(leave|take|pass on|give) (\w+ ){0,3}(a |the )?message|tell (him|her|them|the|dr|mr"
    r"|ms|mrs)|have (him|her|them|someone) call",
    Intent.GOODBYE: r"good ?bye|\bbye\b|see you|talk to you (soon|later)|have a (good|nice|great|lovely"
    r"|wonderful)|take care"
    r"|that('s| is| will be|'ll be) (all|everything|it)\b|nothing else|(i )?(have|got) to go\b|good night"
    r"|no more questions",
    Intent.THANKS: r"\bthank(s| you)\b|appreciate",
    Intent.YES: r"\b(yes|yeah|yep|yup|yah|sure|correct|absolutely|definitely|certainly|exactly|indeed"
    r"|of course|ok|okay|alright"
    r"|all right|perfect|great|go ahead|sounds (good|great|fine)|i do|i am|i will|i'?ll be there|i can"
    r"|it is|it does)\b"
    r"|\b(that|it|this|thursday|monday|tuesday|wednesday|friday|saturday|sunday|time|day)('s| is| will)? "
    r"(works?|worked|fine|good|right|ok|okay|perfect|great|suits)\b|works for me|^(right|fine|good)\b"
    r"|uh[- ]?huh|mm-?hmm"
    r"|\bi (think|guess|suppose|believe|hope) so\b|\bprobably\b|\bi would\b(?! say)",
    Intent.NO: r"\b(no|nope|nah|negative|(definitely|certainly|absolutely|probably|of course|maybe) not|wouldn'?t"
    r"|not (really|interested|now|today|yet|at all)|i don'?t|i do not"
    r"|i'?m not|i can'?t|i cannot|never)\b",
    Intent.GREETING: r"^(hello|hi|hey|good (morning|afternoon|evening)|speaking|yes speaking|this is \w+"
    r"|\w+ speaking)\b",
}
_PATTERNS = {intent: re.compile(rule) for intent, rule in _RULES.items()}
_SUBJECT = (
    r"(i|you|we|he|she|it|they|there|this|that|these|those|the|my|your|our|his|her|a|an|any|all|some|someone"
    r"|somebody|anyone|anybody|dr|mr|mrs|ms|insurance|parking"
    r"|(mon|tues|wednes|thurs|fri|satur|sun)day)"
)
_OPENER = (
    rf"(who|where|whose|(what|how|which|why)(?! (a|an)\b)|when(?! (i|we|you|he|she|they|it)\b)"
    rf"|(can|could|do|does|did|is|are|am|will|would|should|may|has|was|were) {_SUBJECT}"
    rf"|have (you|i|we|they)|who's|what's|where's|when's|how's|(isn't|aren't|don't|can't|couldn't|won't)"
    rf" {_SUBJECT}"
    rf"|tell me (who|what|where|when|why|which|how|if|whether|about|more)|i wonder|i was wondering"
    rf"|i'd like to know)"
)
_QUESTION = re.compile(
    r"^((and|but|so|well|um+|uh+|ok(ay)?|yes|yeah|great|sure|right|sorry|hi|hello|thanks|thank you|please"
    rf"|actually|also|oh|no|perfect|fine|just|then|by the way|i see) )*{_OPENER}\b"
)
_TURN_TO_QUESTION = re.compile(
    rf"(?:,\s+(?:(?:and|but|so|because|or|then)\s+)?|\s+(?:and|but)\s+)(?={_OPENER}\b)", re.IGNORECASE
)
_AGREEMENT = re.compile(
    r"\b(great|perfect|ok|okay|alright|all right|good|fine|sounds|sure|wonderful|lovely|excellent|cool|right)\b"
)
_NUMBERS = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {"none": 0, "once": 1, "twice": 2, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100}


@lru_cache(maxsize=2048)
def plain(text: str) -> str:
    """Lower case, straight apostrophes, no punctuation but the apostrophe and what times need."""
    text = text.lower().replace("’", "'").replace("‘", "'")
    return re.sub(r"\s+", " ", re.sub(r"[^\w':.$ -]|[.:](?!\d)|(?<!\w)'|'(?!\w)", " ", text)).strip(" -")


def utterance_parts(text: str) -> list[str]:
    """The sentences of what was heard; a title's or initial's dot ends none."""
    marked = re.sub(r"\b(dr|mr|mrs|ms|st|ave|no|a\.m|p\.m)\.(?=\s)", r"\1·", text, flags=re.IGNORECASE)
    return [p.replace("·", ".").strip() for p in re.split(r"(?<=[.!?])\s+", marked) if plain(p)]


def beyond_agreement(text: str) -> str:
    """What is said besides "great", "okay" and the like; "" where nothing is. Lower case, no punctuation."""
    return " ".join(_AGREEMENT.sub("", plain(text)).split())


def heard_parts(text: str) -> list[str]:
    """`utterance_parts` that also part where a statement turns into a question: "yes, that works, but where
    is it?" is two things. Recognisers leave the marks out, so a conjunction is enough."""
    parts: list[str] = []
    for sentence in utterance_parts(text):
        rest = sentence.replace("’", "'")
        while (turn := _turn_to_question(rest)) is not None:
            parts.append(rest[: turn.start()])
            rest = rest[turn.end() :]
        parts.append(rest)
    return [part for part in parts if plain(part)]


def _turn_to_question(sentence: str) -> re.Match[str] | None:
    for turn in _TURN_TO_QUESTION.finditer(sentence):
        left = sentence[: turn.start()]
        # "Could you tell me, please, where …" is one question; "where is it, and when" are two.
        if not plain(left) or (is_question(left) and not re.search(r"\band\b", turn.group(0), re.IGNORECASE)):
            continue
        # "I don't know how …", "I wonder and …": the clause belongs to its verb.
        if not re.search(r"\b(know|(not|i'm|am) sure|wonder|see|remember|say|tell me|depends)$", plain(left)):
            return turn
    return None


@lru_cache(maxsize=512)
def intents(text: str) -> frozenset[Intent]:
    """Everything the words may mean; several at once is usual ("yes, thanks, bye")."""
    found = {
        intent
        for part in [text, *utterance_parts(text)]
        for intent, rule in _PATTERNS.items()
        if rule.search(plain(part))
    }
    if found & {Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}:
        found.discard(Intent.LATER)
    if re.search(
        r"\b(no|not any) (problem|worries|question)|\bwhy not\b|no,? (that|it)('s| is) (fine|ok|okay|good)",
        plain(text),
    ):
        found = (found - {Intent.NO}) | {Intent.YES}
    if Intent.NO in found and re.search(r"\bno\b.*\b(thank|thanks|that's all|nothing)", plain(text)):
        found.discard(Intent.YES)
    if re.search(
        r"\b(definitely|certainly|absolutely|probably|of course) not\b|\bi would not\b"
        r"|\b(doesn'?t|does not|not|won'?t|isn'?t|never) (\w+ )?(work|fine|good|ok|okay|right|correct|sure"
        r"|suit|great)",
        plain(text),
    ):
        found = (found - {Intent.YES}) | {Intent.NO}
    return frozenset(found)


def is_question(part: str) -> bool:
    """Whether one sentence asks something; recognisers leave question marks out."""
    words = plain(part).split()
    return bool(_QUESTION.match(plain(part))) or (part.rstrip().endswith("?") and len(words) > 2)


def number_said(text: str) -> float | None:
    """The first number, in digits or words ("twenty five")."""
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    if digits:
        return float(digits.group(0))
    words = plain(text).replace("-", " ").split()
    for place, word in enumerate(words):
        if word in _NUMBERS:
            number, after = _NUMBERS[word], _NUMBERS.get(words[place + 1], 0) if words[place + 1 :] else 0
            return float(number + after if 20 <= number < 100 and 0 < after < 10 else number)
    return None


def option_said(text: str, options: Sequence[str]) -> str | None:
    """The option the words name: whole, by one of its own words, or by its place ("the second")."""
    heard = plain(text)
    for option in sorted(options, key=len, reverse=True):
        if re.search(rf"\b{re.escape(plain(option.replace('_', ' ')))}\b", heard):
            return option
    said = set(heard.split())
    own = {o: set(plain(o.replace("_", " ")).split()) for o in options}
    for option, words in own.items():
        others = set().union(*(w for o, w in own.items() if o != option))
        if said & {w for w in words - others if len(w) > 3}:
            return option
    places = ("first", "second", "third", "fourth")
    return next((o for place, o in zip(places, options, strict=False) if place in said), None)


def phone_said(text: str) -> str | None:
    """A phone number in digits or digit words, as digits; None below seven digits."""
    words = [
        str(_NUMBERS[w]) if w in _NUMBERS and _NUMBERS[w] < 10 else ("0" if w == "oh" else w)
        for w in plain(text).split()
    ]
    digits = re.sub(r"\D", "", " ".join(words))
    return ("+" if "+" in text else "") + digits if len(digits) >= 7 else None


def phone_spoken(digits: str) -> str:
    """A number to be read back, digit by digit in groups, a pause between them."""
    names = [word for word, number in sorted(_NUMBERS.items(), key=lambda item: item[1]) if number < 10]
    names.remove("none")
    names.remove("once")
    names.remove("twice")
    bare = re.sub(r"\D", "", digits)
    sizes = {7: (3, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4)}.get(len(bare)) or [3] * (len(bare) // 3 + 1)
    groups, start = [], 0
    for size in sizes:
        groups.append(" ".join(names[int(digit)] for digit in bare[start : start + size]))
        start += size
    return ", ".join(group for group in groups if group)


_NO_NAME = re.compile(
    r"(and|from|calling|speaking|here|my|at|the|with|about|an?|not|just|so|regarding|to|for|in|on|of|is|but|or|back"
    r"|because|interested|sorry|very|really|good|fine|great|okay|ok|sure|trying|looking|afraid|number|phone|you"
    r"|again|later|please|\d.*)",
    re.IGNORECASE,
)


def name_said(text: str, *, asked: bool = True) -> str | None:
    """The name someone gives for themselves: "my name is Ann Lee", "it's Ann", or just "Ann Lee".

    Unasked, only an introduction counts, and of the vague ones ("I'm …") only before a capital letter.
    """
    text = text.replace("’", "'")
    first = "(?i:[a-z])" if asked else "[A-Z]"
    intro = re.search(r"\b(?:name is|name's)\s+([a-z][\w'-]*(?:\s+[a-z][\w'-]*)?)", text, re.I) or re.search(
        rf"\b(?i:this is|i am|i'm|it's|it is|call me)\s+({first}[\w'-]*(?:\s+(?i:[a-z])[\w'-]*)?)", text
    )
    if not intro and (not asked or is_question(text)):
        return None
    kept: list[str] = []
    for word in (intro.group(1) if intro else re.split(r"[,.;!?]", text.strip())[0]).split():
        bare = word.strip(".,!?")
        if _NO_NAME.fullmatch(bare) or bare.lower() in _NUMBERS:
            break
        kept.append(bare)
    if not kept or len(kept) > 3 or (not intro and intents(" ".join(kept))):
        return None
    return " ".join(word[:1].upper() + word[1:] for word in kept)


def without_introduction(text: str) -> str:
    """The words beside a greeting and a name: "Hi, my name is Bob and I need …" keeps "I need …"."""
    name = name_said(text, asked=False)
    if name is None:
        return text
    spot = re.search(rf"{re.escape(name)}\b,?( (here|speaking|calling))?[,.]?( and\b)?", text, re.IGNORECASE)
    rest = text[spot.end() :].strip(" ,.") if spot else ""
    before = re.split(r"\b(?:my name|the name|this is|i am|i'm|it's|it is|call me)\b", text, flags=re.I)[0].strip(
        " ,."
    )
    return " ".join(part for part in (before, rest) if len(part.split()) > 1)
