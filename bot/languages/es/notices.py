"""What the law wants said and heard, in Spanish."""

from __future__ import annotations

from bot.languages.language import Notices, Wording

_WHO = r"(?:le habla|le llama|le atiende|le saluda|habla|soy|mi nombre es|me llamo|esta hablando con|aqui)"
_NOT_THE_SPEAKER = r"(?:no|ni|nunca|sobre|acerca|para|su|sus|nuestr[oa]s?|que|con|como)"

SPANISH_NOTICES = Notices(
    assistant="asistente de inteligencia artificial",
    introductions=(
        *("le habla {name}", "le llama {name}", "le atiende {name}", "le saluda {name}", "soy {name}"),
        *("mi nombre es {name}", "me llamo {name}", "{name} al habla", "al habla {name}"),
    ),
    disclosed=Wording(
        rf"{_WHO}(?: (?!{_NOT_THE_SPEAKER}\b)\w+){{0,12}}? "
        r"asistente (?:\w+ )?(?:de|con) (?:ia|inteligencia artificial)"
    ),
    disclosure="Le habla un asistente de inteligencia artificial.",
    disclosure_again="Le habla de nuevo el asistente de inteligencia artificial.",
    recording="Esta llamada se graba.",
    recording_question="¿Me permite grabar esta llamada?",
    recording_allowed="Gracias.",
    recording_declined="De acuerdo, esta llamada no se graba.",
    recording_stopped="He detenido la grabación.",
    recording_deleted="He detenido la grabación y la he borrado.",
    refuses_recording=Wording(
        r"(?:no|nunca|sin|deje de|dejen de|deja de|paren?|detengan?|borren?|apaguen?|elimine|prefiero que no)"
        r"(?: (?!importa\b|problema\b|hay\b)\w+){0,5}? "
        r"(?:grab(?:e|es|en|ar|ando|acion|aciones|ado|ada)|grabarme)",
    ),
    allows_recording=Wording(
        r"no hay problema",
        r"sin problema",
        r"no me importa",
        r"(?:esta|me parece) bien",
        r"(?:puede|adelante|como quiera|si quiere|de acuerdo|conforme|vale)",
    ),
)
