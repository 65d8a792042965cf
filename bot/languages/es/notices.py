"""What the law wants said and heard, in Spanish."""

from __future__ import annotations

from bot.languages.language import Notices
from bot.languages.wording import Wording

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
    opt_out='Para que no le llamemos más, diga "no me llamen más" o pulse el {key}.',
    opted_out="No le llamaremos más. Adiós.",
    call_back_number="Puede llamarnos al {number}, también para que no le llamemos más.",
    asks_not_to_be_called=Wording(
        r"no (?:me |nos )?(?:vuelvan?|vuelvas) a (?:llamar|molestar|contactar|marcar)(?:me|nos)?",
        r"no (?:me |nos )?(?:llamen?|llames|molesten?|contacten?|marquen?)(?: aqui| a este numero)? "
        r"(?:mas|nunca|jamas|otra vez|de nuevo)",
        r"nunca mas (?:me |nos )?(?:llamen?|llames)",
        r"(?:deje|dejen|deja|pare|paren) de (?:llamar|molestar|marcar|contactar)(?:me|nos)?",
        r"(?:quite|quiten|quita|saque|saquen|borre|borren|elimine|eliminen|retire|retiren)(?:me|nos)?"
        r"(?: mi (?:numero|nombre|telefono)| este numero)?(?: ya)? "
        r"(?:de|en) (?:la|las|su|sus|esa|esas|esta|todas) "
        r"(?:\w+ ){0,2}?(?:listas?|bases?|registros?|sistema)",
        r"no (?:quiero|deseo) (?:que )?(?:me |nos )?(?:recibir|llamen|llame|vuelvan? a llamar|ser llamad[oa])"
        r"(?: mas| otra vez| de nuevo| sus llamadas| mas llamadas| estas llamadas|$)",
        r"no (?:quiero|deseo) (?:recibir )?mas llamadas",
        r"(?:deme|denme|dame|darme) de baja de (?:\w+ ){0,3}?(?:listas?|llamadas)",
        r"(?:borren?|olviden?|eliminen?) (?:mi|este) (?:numero|telefono)",
    ),
    tens=(
        *("diez", "once", "doce", "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho"),
        *("diecinueve", "veinte", "veintiuno", "veintidós", "veintitrés", "veinticuatro", "veinticinco"),
        *("veintiséis", "veintisiete", "veintiocho", "veintinueve", "ciento", "doscientos", "trescientos"),
        *("cuatrocientos", "quinientos", "seiscientos", "setecientos", "ochocientos", "novecientos"),
        *("treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa", "cien"),
    ),
    between_digits=("guión", "espacio", "eh", "y", "luego", "doble"),
    before_secrets=(
        *("pin", "cvv", "cvc", "código de seguridad", "clave", "contraseña", "tarjeta", "número de tarjeta"),
        *("cuenta", "número de cuenta", "termina en", "terminada en", "acaba en", "últimos cuatro"),
        *("últimas cuatro", "últimas cuatro cifras", "dni", "nie"),
    ),
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
