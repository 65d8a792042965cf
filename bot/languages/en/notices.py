"""What the law wants said and heard, in English."""

from __future__ import annotations

from bot.languages.language import Notices, Wording

_WHO = (
    r"(?:this is|im|i am|my name is|you are speaking (?:with|to)|speaking with|talking (?:to|with)|speaking|here)"
)
# What would make it somebody else's, the matter of the call, or a denial.
_NOT_THE_SPEAKER = (
    r"(?:not|isnt|arent|never|no|about|regarding|to|your?|we|us|our|with|than|like|of|who|which|that)"
)
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
