"""Words of an outcome by rules, by language: how a call that reached nobody is summed up, how moods sound."""

from __future__ import annotations

from dataclasses import dataclass

from bot.languages import Wording, of


@dataclass(frozen=True)
class OutcomeWords:
    """Sentences of summaries, and the words a mood is told by."""

    reached: str
    not_reached: str
    spoke: str
    nothing: str
    """As the brains say it of a call without notes."""
    nobody: str
    busy: str
    no_answer: str
    not_dialled: str
    canceled: str
    voicemail: str
    message_left: str
    no_message: str
    unavailable: str
    no_voice: str
    pleased: Wording
    annoyed: Wording


_ENGLISH = OutcomeWords(
    reached="The goal of the call was reached.",
    not_reached="The goal of the call was not reached.",
    spoke="Somebody was spoken to.",
    nothing="Nothing was settled.",
    nobody="Nobody was reached.",
    busy="The line was busy.",
    no_answer="Nobody answered the phone.",
    not_dialled="The call could not be placed.",
    canceled="The call was canceled before anybody answered.",
    voicemail="A voicemail answered.",
    message_left="A message was left.",
    no_message="No message was left.",
    unavailable="A recording said that the number cannot be reached.",
    no_voice="The call was answered, but nobody spoke.",
    pleased=Wording(
        r"(?:great|wonderful|excellent|fantastic|awesome|lovely|perfect|brilliant|amazing)",
        r"(?:thank you|thanks) (?:so|very) much|thanks a lot|much appreciated|appreciate (?:it|that|you)",
        r"(?:very|so|really) (?:happy|glad|kind|helpful|nice|pleased)",
        r"(?:glad|happy|pleased) (?:you|to)|looking forward|love (?:it|that|to)",
    ),
    annoyed=Wording(
        r"(?:stop|quit) (?:calling|bothering|asking|phoning)|never call|(?:dont|do not) (?:ever )?call"
        r"|take (?:me|my \w+) off|leave me alone",
        r"(?:fed up|sick of|tired of|annoy\w*|angry|furious|upset|harass\w*|ridiculous|outrageous|unacceptable)",
        r"(?:terrible|awful|horrible|disgusting|rude|useless|scam|spam|waste of (?:my )?time)",
        r"(?:not interested|go away|shut up|what the hell|damn|hell no|none of your business)",
        r"(?:very|so|really) (?:disappointed|unhappy|dissatisfied|bad)",
    ),
)

_SPANISH = OutcomeWords(
    reached="Se cumplió el objetivo de la llamada.",
    not_reached="No se cumplió el objetivo de la llamada.",
    spoke="Se habló con alguien.",
    nothing="No se acordó nada.",
    nobody="No se habló con nadie.",
    busy="La línea estaba ocupada.",
    no_answer="Nadie contestó al teléfono.",
    not_dialled="No se pudo hacer la llamada.",
    canceled="La llamada se canceló antes de que alguien contestara.",
    voicemail="Contestó un buzón de voz.",
    message_left="Se dejó un mensaje.",
    no_message="No se dejó ningún mensaje.",
    unavailable="Una grabación dijo que el número no está disponible.",
    no_voice="Se descolgó, pero nadie habló.",
    pleased=Wording(
        r"(?:genial|estupendo|excelente|maravilloso|fantastico|perfecto|encantad[oa]|buenisimo)",
        r"(?:muchas|mil|muchisimas) gracias|se lo agradezco|te agradezco|muy amable",
        r"(?:muy|tan) (?:content[oa]|feliz|satisfech[oa])|me alegr\w+|con (?:mucho )?gusto|me encanta\w*",
    ),
    annoyed=Wording(
        r"dejen? de (?:llamar|molestar)\w*|no (?:me |nos )?(?:vuelvan?|vuelvas) a llamar",
        r"no (?:me |nos )?llam\w+ mas",
        r"(?:hart[oa]|molest[oa]|enfadad[oa]|enojad[oa]|furios[oa]|indignad[oa]|pesad[oa]s?)",
        r"(?:terrible|horrible|pesimo|fatal servicio|verguenza|estafa|inaceptable|ridiculo)",
        r"(?:no me interesa|dejeme en paz|dejenme en paz|perdida de tiempo|muy decepcionad[oa])",
    ),
)
_KNOWN = {"en": _ENGLISH, "es": _SPANISH}


def words_of(language: str) -> OutcomeWords:
    """English where the language has no words here, as everything without a model is."""
    return _KNOWN.get(of(language).code, _ENGLISH)
