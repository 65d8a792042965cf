"""What the law wants said and heard, in English."""

from __future__ import annotations

from bot.languages.language import Notices
from bot.languages.wording import Wording

_WHO = (
    r"(?:this is|im|i am|my name is|you are speaking (?:with|to)|speaking with|talking (?:to|with)|speaking|here)"
)
# What would make it somebody else's, the matter of the call, or a denial.
_NOT_THE_SPEAKER = (
    r"(?:not|isnt|arent|never|no|about|regarding|to|your?|we|us|our|with|than|like|of|who|which|that)"
)
_CALL = r"(?:call|phone|ring|contact|bother|telephone)"
_CALLING = r"(?:calling|phoning|ringing|contacting|bothering|harassing)"
_US = r"(?:me|us|here|this (?:phone|number|house)|my (?:\w+ )?(?:number|phone|house|home|cell)|people)"
_NO = r"(?:dont|do not|never|not|didnt|cant|cannot|wouldnt)"

ENGLISH_NOTICES = Notices(
    assistant="an AI assistant",
    introductions=(
        *("this is {name}", "i'm {name}", "i am {name}", "my name is {name}", "my name's {name}"),
        *("you are speaking with {name}", "you're speaking with {name}", "{name} speaking", "{name} here"),
    ),
    disclosed=Wording(
        rf"{_WHO}(?: (?!{_NOT_THE_SPEAKER}\b)\w+){{0,12}}? (?:an?|the|your) "
        r"(?:\w+ )?(?:ai|artificial intelligence) (?:\w+ )?assistant"
    ),
    disclosure="This is an AI assistant.",
    disclosure_again="This is the AI assistant again.",
    recording="This call is recorded.",
    recording_question="May I record this call?",
    recording_allowed="Thank you.",
    recording_declined="All right, this call is not recorded.",
    recording_stopped="I have stopped the recording.",
    recording_deleted="I have stopped the recording and deleted it.",
    opt_out='To not be called again, say "stop calling" or press {key}.',
    opted_out="We won't call you again. Goodbye.",
    # "Don't call me before nine" and "did you stop calling her?" ask for something else.
    call_back_number="You can call us back at {number}, also to not be called again.",
    asks_not_to_be_called=Wording(
        rf"(?<!did you )(?<!dont )(?<!not )(?<!never )(?<!will )(?<!ill )(?<!do you )(?<!i )stop {_CALLING}"
        rf"(?: {_US}| please| now| already|$)",
        rf"(?:dont|do not|dont you|never|not to|stop and dont) (?:you )?(?:ever )?{_CALL}(?: {_US})?"
        r" (?:again|any ?more|ever|at all|no more)",
        rf"never {_CALL} {_US}$",
        r"(?:take|taken|remove|removed|get|delete|strike|scratch|cross) "
        r"(?:me|us|my (?:\w+ )?(?:name|number)|"
        r"this number)(?: off| out)? (?:off|from|of|on)?(?: of)? ?"
        r"(?:your|the|this|that|all|any|every) (?:\w+ ){0,3}?(?:lists?|database|records?|register|system|books)",
        r"(?:take|remove) me off$",
        r"(?:put|add|place) (?:me|us|my (?:\w+ )?number|this number) (?:on|to|onto) (?:\w+ ){0,2}?"
        r"do not call (?:list|registry)",
        rf"(?:dont|do not) want (?:you |anyone |anybody )?to (?:be called|{_CALL}(?: {_US})?)"
        r"(?: again| any ?more|$)",
        r"(?:dont|do not) want (?:any more|any|more|these|those|your|such|further) (?:\w+ ){0,2}?calls?",
        r"no more (?:phone )?calls",
        r"(?:lose|forget|delete) (?:my|this) number",
        r"(?:want|like|wish|need) to (?:opt out|unsubscribe)",
        r"(?:opt|unsubscribe) me(?: out)?",
        r"unsubscribe$",
    ),
    tens=(
        *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
        *("nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"),
    ),
    between_digits=("dash", "hyphen", "space", "um", "uh", "er", "then", "and", "triple"),
    before_secrets=(
        *("pin", "pin code", "pin number", "cvv", "cvc", "cvv2", "security code", "passcode", "password", "card"),
        *("card number", "account", "account number", "routing number", "social security", "social"),
        *("ending in", "ends in", "ends with", "last four", "last four digits"),
    ),
    # "I have no record of that" and "my medical records" object to nothing.
    refuses_recording=Wording(
        rf"{_NO} (?:you )?(?:to )?(?:record|tape)\b(?! of)(?: (?:me|us|this|it|my|the|our|any|please)\b|$)",
        rf"(?:{_NO}|rather not|object to|refuse to|without|stop|hate)(?: (?!mind\b)\w+){{0,5}}? "
        r"(?:be|being|get|getting) (?:recorded|taped)",
        rf"(?:{_NO} (?:want|like|agree to|consent to|authorize|allow)|stop|quit|no|turn off|switch off|end|"
        r"delete|erase|without|object to|against) (?:\w+ ){0,3}?(?:recording|taping)(?! of\b)",
        rf"{_NO} (?:want|like|wish|agree) (?:\w+ ){{0,5}}?(?:record|recorded|taped?)\b(?! of)",
    ),
    allows_recording=Wording(
        r"no problem",
        r"(?:dont|do not|wouldnt|would not) mind",
        r"no objections?",
        r"thats (?:fine|okay|ok|all right)",
        r"its (?:fine|okay|ok|all right)",
        r"^(?:fine|you may|you can|if you (?:like|want|must)|feel free|be my guest|i guess so)",
        r"(?:i agree|absolutely)",
    ),
)
