"""How a colleague is asked to take over a call, in English, and how they say yes or no."""

from bot.languages.language import ColleagueWords
from bot.languages.wording import Wording

ENGLISH_COLLEAGUE = ColleagueWords(
    tag="en-US",
    ask=(
        "Hello. I have a call for you. {summary} To take the call, press {key}, or say yes. "
        "To refuse it, press any other key, or say no."
    ),
    ask_again="Do you want to take the call? Press {key} for yes, or any other key for no.",
    caller_gone="I'm sorry, the caller has hung up. Goodbye.",
    yes=Wording(
        "yes",
        "yeah",
        "yep",
        "sure",
        "okay",
        "ok",
        "of course",
        "go ahead",
        "accept",
        "put (?:them|him|her) through",
        "connect (?:me|us|them)",
        "i(?: wi)?ll take it",
    ),
    no=Wording("no", "nope", "not", "dont", "cant", "cannot", "busy", "refuse", "decline", "reject", "later"),
    hints="yes, no, accept, refuse, put them through, not now",
)
