"""How a language says what is written in figures and signs: the data of pipeline/tts/speech_text.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Money:
    """A currency's words: "dollar", "dollars", "cent", "cents"."""

    one: str
    many: str
    small_one: str
    small_many: str


@dataclass(frozen=True, eq=False)
class SpeechForms:
    """One language's words for figures and signs. Templates are filled by str.format."""

    code: str
    """Two letters, ISO 639-1: also the language of num2words."""
    decimal_mark: str
    """Between whole and part: "." or ","; the other one groups thousands."""
    day_first: bool
    """Whether 03/04/2026 is the third of April."""

    minus: str
    point: str
    percent: str
    to: str
    """Between the ends of a range."""
    and_: str
    plus: str
    o_clock: Mapping[int, str]
    """Minutes with a form of their own; {hour} in words. 0 is the full hour."""
    late_hour: str
    """A full hour behind noon, by a clock of 24."""
    few_minutes: str
    """Of one digit: {hour} and {minute} in words."""
    minutes: str
    meridiem: tuple[tuple[int, str], ...]
    """From which hour of 24 on a time of twelve hours is called what."""
    meridiem_time: str
    """{time} with its {meridiem}."""

    months: tuple[str, ...]
    weekdays: tuple[str, ...]
    """From Monday."""
    short_months: Mapping[str, str]
    """Lower case, without a period."""
    short_weekdays: Mapping[str, str]
    date: str
    """{day} and {month} in words."""
    date_with_year: str
    first_day: str
    """The first of a month, where it has a word of its own among cardinals; else empty: days are ordinals."""
    date_words: str
    """Words before 3/14 that make it a date."""

    money: Mapping[str, Money]
    """By sign and ISO 4217 code."""
    large: Mapping[str, str]
    """"k", "million", "bn" behind an amount, in words."""
    money_and_part: str
    """{whole} and {part} of an amount."""
    units: Mapping[str, tuple[str, str]]
    """One and many."""
    ordinals: str
    """A regular expression behind a figure that makes it an ordinal: "st|nd|rd|th"."""
    fractions: Mapping[str, str]

    abbreviations: Mapping[str, str]
    """Lower case without its last period. Only those with a period, unless in `bare_abbreviations`."""
    bare_abbreviations: frozenset[str]
    initialisms: frozenset[str]
    """Said letter by letter though they look like words; capitals without a vowel always are."""
    code_words: str
    """Words before figures that are read digit by digit: "code", "PIN", "account"."""
    signs: Mapping[str, str]
    """One character between spaces, or stuck to a word, in words."""
    at: str
    dot: str
    dash: str
    underscore: str
    slash: str
    per: Mapping[str, str]
    """Words behind a slash that are a rate: $5/month."""
    hash_key: str
    """The key of a phone."""

    out_of: str = "out of"
    """4/5 as a rating."""
    over: str = "over"
    """Two figures with a stroke that are nothing else."""
    by: str = "by"
    """Of a size: 5x10."""
    about: str = "about"
    hashtag: str = "hashtag"
    parts: tuple[tuple[str, str], ...] = ()
    """Parts of a whole from the third on to the tenth, one and many."""
    numbered: str = "(?!)"
    """A regular expression: words before a Roman numeral that is counted: "chapter IV"."""
    rulers: frozenset[str] = frozenset()
    """Names behind which a Roman numeral is an ordinal."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Regular expressions of what is said in its own way, and how."""
    feet_and_inches: tuple[tuple[str, str], ...] = ()
    """Foot, feet; inch, inches. Empty where nobody measures in them."""
    rooms: str = ""
    """A regular expression: words before a number that is said in pairs: "Room 1205". Empty: none is."""
    street_words: str = ""
    """The same: what ends the name of a street, whose house numbers are said in pairs."""

    other_decimals: str = r"\d"
    """A regular expression: behind the mark of groups and one digit, what makes it a decimal mark."""
    feminine: str = ""
    """A regular expression: words that want a feminine number before them."""
    not_nouns: frozenset[str] = frozenset()
    """Words behind a number that it does not count."""
    masculine_one: tuple[tuple[str, str], ...] = ()
    """Ends of a number in words before a noun: ("uno", "un")."""

    @property
    def group_mark(self) -> str:
        return "," if self.decimal_mark == "." else "."
