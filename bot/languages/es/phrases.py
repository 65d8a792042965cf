"""Spanish: phrases, word lists, and the sentences of carriers and mailboxes in Spain and the Americas.

Phrases address the callee as "usted", and use words that are understood on both sides of the Atlantic.
"""

from bot.languages.dictation import DictationWords
from bot.languages.es.colleague import SPANISH_COLLEAGUE
from bot.languages.es.identity import SPANISH_IDENTITY
from bot.languages.es.machines import SPANISH_MACHINES
from bot.languages.es.notices import SPANISH_NOTICES
from bot.languages.es.speech import SPEECH
from bot.languages.language import Language

SPANISH = Language(
    code="es",
    speech=SPEECH,
    name="Spanish",
    backchannels=(
        *("mhm", "mhmm", "mm-hmm", "mmhmm", "mm hm", "mm", "mmm", "hm", "hmm", "mjm", "ujum", "ujú", "m-hm"),
        *(
            "ajá",
            "aja ja",
            "ahá",
            "a-ha",
            "aha",
            "ah",
            "ah ya",
            "ah sí",
            "ah ok",
            "ah vale",
            "ah bueno",
            "oh",
            "uh-huh",
        ),
        *(
            "sí",
            "sii",
            "sip",
            "sí sí",
            "sí claro",
            "claro",
            "claro que sí",
            "por supuesto",
            "cómo no",
            "desde luego",
        ),
        *(
            "ok",
            "okay",
            "okey",
            "okei",
            "oká",
            "vale",
            "ya",
            "ya ya",
            "ya veo",
            "ya entiendo",
            "bien",
            "muy bien",
        ),
        *("bueno", "pues sí", "exacto", "exactamente", "correcto", "eso", "eso es", "así es", "cierto", "seguro"),
        *("entiendo", "entendido", "comprendo", "de acuerdo", "está bien", "perfecto", "genial", "estupendo"),
        *("listo", "dale", "órale", "sale", "adelante", "siga", "continúe", "qué bien", "no hay problema"),
    ),
    stop_phrases=(
        *("para", "pare", "parad", "basta", "alto", "cállese", "cállate", "silencio", "stop"),
        *("espere", "espera", "espérese", "espérate", "esperad", "aguarde", "aguarda", "aguanta", "aguante"),
        *("un momento", "un momentito", "un segundo", "un segundito", "un minuto", "un minutito"),
        *("momento", "momentito", "un rato", "deme un segundo", "deme un momento", "permítame", "permíteme"),
        *("disculpe", "disculpa", "perdón", "perdone", "perdona", "oiga", "oye", "no no", "no cuelgue"),
        *("más despacio", "tengo una pregunta", "una pregunta", "déjeme hablar", "déjame hablar", "escuche"),
        *("cómo dice", "cómo dijo", "qué dijo", "puede repetir", "repita"),
    ),
    # "Para" is also "for": it stops only where nothing follows that it could be for.
    not_stop_phrases=(
        *(
            "para el",
            "para la",
            "para los",
            "para las",
            "para qué",
            "para mí",
            "para nada",
            "para eso",
            "para que",
        ),
        *("para ir", "para mañana", "para hoy", "para cuándo", "para quién", "para un", "para una", "para usted"),
        *("para ver", "para hacer", "para saber", "para mi", "para confirmar", "para cambiar", "para cancelar"),
        *("de momento", "por el momento", "en este momento", "en cualquier momento", "al momento", "es para"),
        *(
            "le espero",
            "los espero",
            "lista de espera",
            "sala de espera",
            "espero",
            "no no hay problema",
            "no para",
        ),
        *("hace un momento", "hace un rato", "en un momento", "en un rato", "en un minuto", "en silencio"),
        *("tono alto", "más alto", "sin perdón"),
    ),
    greetings=(
        *("hola", "hola buenas", "aló", "alo", "diga", "dígame", "dime", "bueno", "sí", "sí diga", "sí dígame"),
        *(
            "mande",
            "buenos días",
            "buen día",
            "buenas tardes",
            "buenas noches",
            "buenas",
            "quién es",
            "quién habla",
        ),
        *("con quién hablo", "de parte de quién", "hay alguien", "hay alguien ahí", "me escucha", "me oye"),
        *("pronto", "soy yo", "ella habla", "él habla", "al habla", "hello"),
    ),
    unfinished=(
        *("y", "e", "o", "pero", "porque", "aunque", "pues", "así que", "y luego", "entonces"),
        *("eh", "em", "este", "esto", "o sea", "es que", "digamos", "a ver", "déjeme ver", "bueno pues"),
        *(
            "el",
            "la",
            "los",
            "las",
            "un",
            "una",
            "mi",
            "nuestro",
            "nuestra",
            "de",
            "del",
            "al",
            "con",
            "por",
            "para",
        ),
        *(
            "mi número es",
            "el número es",
            "la dirección es",
            "me llamo",
            "mi nombre es",
            "quisiera",
            "me gustaría",
        ),
    ),
    digits=("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    complete=(
        *(
            "sí",
            "sí claro",
            "sí por favor",
            "claro",
            "claro que sí",
            "por supuesto",
            "vale",
            "de acuerdo",
            "bueno",
        ),
        *("no", "no gracias", "no sé", "no lo sé", "la verdad no", "está bien", "perfecto", "correcto", "eso es"),
        *("gracias", "muchas gracias", "muy amable", "genial gracias", "adiós", "hasta luego", "hasta pronto"),
        *("chao", "chau", "que tenga buen día", "buen día", "igualmente", "eso es todo", "nada más"),
    ),
    fillers=("Un momento.", "Déjeme ver.", "Un segundo."),
    bridges=("Permítame comprobarlo.", "Un momento, lo estoy consultando.", "Deme un segundo, por favor."),
    silence=("¿Sigue ahí?", "¿Hola? No le oigo."),
    silence_goodbye="No le oigo, así que voy a colgar. Adiós.",
    time_is_up="Lo siento, tengo que terminar la llamada aquí. Gracias por su tiempo. Adiós.",
    trouble="Lo siento, tengo un problema técnico y debo terminar la llamada. Adiós.",
    trouble_call_back="Lo siento, tengo un problema técnico. Le volveremos a llamar. Adiós.",
    cannot_answer="Lo siento, no puedo ayudarle con eso. ¿Hay algo más sobre esta llamada?",
    goodbye="Muchas gracias. Adiós.",
    opening=(
        "Hola[[, {{callee_name}}]], le habla {{agent_name}}[[ de {{organization}}]]."
        "[[ Le llamo para {{reason}}.]] {{question|¿En qué puedo ayudarle?}}"
    ),
    voicemail_message=(
        "Hola, le habla {{agent_name}}[[ de {{organization}}]].[[ Le llamaba para {{reason}}.]] "
        "Por favor, devuélvanos la llamada. Gracias y hasta pronto."
    ),
    screening_reply="Le habla {{agent_name}}[[ de {{organization}}]].[[ Llamo para {{reason}}.]]",
    after_hold=(
        "Hola, le habla {{agent_name}}[[ de {{organization}}]].[[ Llamo para {{reason}}.]][[ {{question}}]]"
    ),
    hold_goodbye="Llevo un buen rato en espera, así que voy a colgar. Adiós.",
    transferring="Le paso ahora mismo.",
    transfer_failed="Lo siento, en este momento nadie puede atender su llamada.",
    dictation=DictationWords(
        phone="(?:numero de )?(?:telefono|movil|celular)|que numero|a que numero",
        email="correo|e ?mail",
        code="numero de|codigo|referencia|clave|pin|codigo postal|matricula",
        spelling="deletre|su nombre|apellido|letra por letra|como se escribe",
        at="arroba",
        dot="punto",
        signs="guion|bajo|barra|mas|doble|triple",
        phone_digits=9,
    ),
    answering=SPANISH_MACHINES,
    asking=SPANISH_COLLEAGUE,
    notices=SPANISH_NOTICES,
    identity=SPANISH_IDENTITY,
)
