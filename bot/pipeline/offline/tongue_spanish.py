"""Spanish for the brief brain: its sentences, and how speech is parted. The callee is addressed as "usted"."""

from __future__ import annotations

import re

from bot.languages import Wording
from bot.pipeline.offline.tongue import Notes, Sentences, Tongue
from bot.pipeline.offline.tongue_spanish_words import KINDS, MEANINGS

_DAY = r"(?:lunes|martes|miércoles|miercoles|jueves|viernes|sábado|sabado|domingo)"
_PART = r"(?:por|en|de|a) la (?:mañana|tarde|noche)"
_CLOCK = r"a las? (?:\d{1,2}(?::\d\d)?|[a-zé]+)(?: y (?:media|cuarto)| menos cuarto)?(?: en punto)?"

SPANISH = Tongue(
    meanings=MEANINGS,
    certain=Wording(
        r"si",
        r"claro que si|por supuesto|desde luego|correcto|exacto|exactamente|asi es|seguro|sin falta",
        r"confirmo|confirmad[oa]|acepto",
        r"(?:ahi|alli) (?:estare|estaremos)|ire|iremos|puedo ir|me (?:viene|va|queda|parece) bien",
        r"me (?:interesa|interesaria|gustaria)",
    ),
    asks=Wording(
        r"^(?:(?:y|pero|si|no|bueno|vale|ok|perfecto|muy|bien|gracias|perdon|disculpe|oiga|entonces|ah"
        r"|una pregunta"
        r"|por cierto|claro|de acuerdo) )*(?:(?:a|de|en|con|por|para|hasta|desde) )?(?:donde|cuando"
        r"|cuanto|cuanta|cuantos"
        r"|cuantas|quien|quienes|cual|cuales|como|que (?:dia|hora|doctora?|planta|piso|calle|pasa|hago"
        r"|debo|tengo|llevo"
        r"|documentos?|direccion|precio)|puedo|puede|podria|podrian|pueden|se puede|hay|tienen|tiene"
        r"|aceptan|es posible"
        r"|tengo que|debo|hace falta|es necesario|me puede|me podria|sabe si)",
    ),
    turn=re.compile(r"(?=¿)|[,;]\s+(?:pero|y)\s+(?=¿?\w)|\s+pero\s+(?=¿?\w)", re.IGNORECASE),
    small_words=frozenset(
        [
            "el",
            "la",
            "los",
            "las",
            "un",
            "una",
            "unos",
            "unas",
            "de",
            "del",
            "al",
            "a",
            "en",
            "con",
            "por",
            "para",
            "que",
            "y",
            "o",
            "u",
            "si",
            "no",
            "me",
            "le",
            "les",
            "se",
            "lo",
            "su",
            "sus",
            "mi",
            "mis",
            "tu",
            "te",
            "es",
            "son",
            "esta",
            "estan",
            "hay",
            "ha",
            "he",
            "ser",
            "estar",
            "tengo",
            "tiene",
            "tienen",
            "puedo",
            "puede",
            "pueden",
            "podria",
            "ustedes",
            "usted",
            "yo",
            "como",
            "cual",
            "cuales",
            "donde",
            "cuando",
            "cuanto",
            "cuanta",
            "quien",
            "sobre",
            "este",
            "esa",
            "ese",
            "esto",
            "eso",
            "muy",
            "mas",
            "ya",
            "pero",
            "bien",
            "gracias",
            "favor",
            "algo",
            "alli",
            "aqui",
            "ahi",
            "hace",
            "falta",
            "necesario",
            "necesito",
            "quiero",
            "saber",
            "decir",
            "dice",
            "sabe",
            "llevar",
            "traer",
            "debo",
            "hacer",
        ]
    ),
    kinds=KINDS,
    to_agent=Wording(
        r"^(?:no (?:digas?|menciones?|des|ofrezcas?|hables?)|si (?:pregunta|el cliente|el paciente)\w*|nunca|"
        r"asegura\w+|evita|se amable|habla|menciona|recuerda que eres|eres)"
    ),
    time=re.compile(
        rf"(?:(?:el |este |próximo |pasado )*\b{_DAY}\b(?: que viene| próximo)?(?: \d{{1,2}}(?: de "
        rf"\w+)?)?|\bpasado mañana\b"
        rf"|(?<!la )\bmañana\b|\bhoy\b|\besta (?:mañana|tarde|noche|semana)\b"
        rf"|\bla (?:próxima semana|semana que viene)\b|\bel (?:día )?\d{{1,2}} "
        rf"de \w+)"
        rf"(?:,? {_PART})?(?:,? {_CLOCK})?(?: {_PART})?|\b{_CLOCK}(?: {_PART})?|\b{_PART}",
        re.IGNORECASE,
    ),
    clauses=re.compile(r"[,.;]|\bpero\b", re.IGNORECASE),
    refused=Wording(r"no (?:puedo|podre|podria|me|voy|vamos)", r"no$", r"imposible", r"me (?:viene|va) mal"),
    proposes=Wording(
        r"pued[eo]n? ser",
        r"podria(?:n|mos)?(?: ser)?",
        r"que tal",
        r"y si",
        r"es posible",
        r"tienen? (?:algo|hueco|sitio)",
        r"mejor",
        r"podemos",
        r"se puede",
        r"seria",
    ),
    wants_more=Wording(r"^(?:si|si por favor|si una cosa|si otra cosa)$"),
    numbers={
        word: number
        for number, word in enumerate(
            [
                "cero",
                "uno",
                "dos",
                "tres",
                "cuatro",
                "cinco",
                "seis",
                "siete",
                "ocho",
                "nueve",
                "diez",
                "once",
                "doce",
                "trece",
                "catorce",
                "quince",
            ]
        )
    }
    | {"una": 1, "un": 1, "ninguno": 0, "ninguna": 0, "veinte": 20, "treinta": 30, "cien": 100},
    sentences=Sentences(
        hello="Hola{name}, {me}.",
        welcome="Gracias por llamar{us}.{me}",
        me="le habla {agent}",
        me_of="le habla {agent} de {us}",
        automated="un asistente automático",
        why="Le llamo {said}.",
        they_called="Nos ha llamado usted.",
        robot="Soy un asistente de inteligencia artificial{us}.",
        well="Muy bien, gracias.",
        sure=("Por supuesto.", "Claro.", "Cómo no."),
        take_your_time="Claro, tómese su tiempo.",
        orders="Me temo que eso no puedo hacerlo, pero con gusto le ayudo con el motivo de la llamada.",
        wrong_number="Disculpe, debo de tener el número equivocado.",
        not_again="Lamento la molestia. Me aseguraré de que no le vuelvan a llamar.",
        understood="De acuerdo, lo entiendo.",
        confirmed="Perfecto, queda confirmado: {topic}.",
        thanks=("Muchas gracias.", "Gracias.", "De acuerdo, gracias."),
        noted="Gracias, lo anoto.",
        passed_on=(
            "No tengo ese dato, pero transmitiré su pregunta.",
            "Eso tampoco lo sé. Lo anoto para el equipo.",
            "Me temo que no puedo contestarle a eso, pero lo transmitiré.",
        ),
        message_noted="Gracias, transmitiré su mensaje.",
        other_time="No hay ningún problema.",
        other_time_noted="De acuerdo, anoto que prefiere {when}. Le avisarán para confirmarlo.",
        when=("¿Qué día y a qué hora le vendría bien?", "¿Cuándo le vendría mejor?"),
        call_when=("¿Cuándo es buen momento para volver a llamarle?", "¿A qué hora podemos llamarle?"),
        call_back="De acuerdo, le volveremos a llamar {when}.",
        call_back_noted="De acuerdo, lo anoto.",
        also="También me han pedido {order}. ¿Le parece bien?",
        help=("¿En qué puedo ayudarle?", "¿Qué puedo hacer por usted?"),
        anything=("¿Puedo ayudarle en algo más?", "¿Necesita algo más?", "¿Alguna otra pregunta?"),
        not_understood=("Disculpe, no le he entendido bien.", "Lo siento, no estoy seguro de haberle entendido."),
        give_up="Me temo que no nos entendemos bien.",
        goodbye="Muchas gracias{name}, y adiós.",
        back_to=("Entonces, {question}", "Volviendo a mi pregunta: {question}"),
        again=("Como le decía, ", "Se lo repito: ", "De nuevo, "),
        choices="¿Sería {options}?",
        choice_or="o",
    ),
    notes=Notes(
        them="La persona",
        nothing="No se acordó nada.",
        confirmed="{who} confirmó: {topic}.",
        declined="{who} dijo que no.",
        answered="«{question}»: {words}.",
        wants_time="{who} prefiere {when}.",
        wants_other_time="{who} quiere otro día u otra hora.",
        call_back="{who} pidió que le llamen: {when}.",
        wrong_number="El número era equivocado.",
        not_again="{who} pidió que no le vuelvan a llamar.",
        asked="Pregunta pendiente: «{words}»",
        message="Mensaje: «{words}»",
        yes="sí",
        no="no",
    ),
)
