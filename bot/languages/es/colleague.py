"""How a colleague is asked to take over a call, in Spanish, and how they say yes or no."""

from bot.languages.language import ColleagueWords
from bot.languages.wording import Wording

SPANISH_COLLEAGUE = ColleagueWords(
    tag="es-ES",
    ask=(
        "Hola. Tengo una llamada para usted. {summary} Para atenderla, pulse {key} o diga sí. "
        "Para rechazarla, pulse cualquier otra tecla o diga no."
    ),
    ask_again="¿Quiere atender la llamada? Pulse {key} para sí, o cualquier otra tecla para no.",
    caller_gone="Lo siento, la persona que llamaba ha colgado. Adiós.",
    yes=Wording(
        "si", "claro", "vale", "de acuerdo", "por supuesto", "adelante", "acepto", "pasemela", "pasamela"
    ),
    no=Wording("no", "ahora no", "ocupad[oa]", "rechazo", "rechazar", "luego", "mas tarde"),
    hints="sí, no, acepto, adelante, ahora no",
)
