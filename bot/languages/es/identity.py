"""Who is speaking, in Spanish."""

from __future__ import annotations

from bot.languages.identity import IdentityWords
from bot.languages.wording import Wording

SPANISH_IDENTITY = IdentityWords(
    introduction="Hola, le habla {{agent_name}}[[, de parte de {{organization}}]].",
    asks="¿Hablo con {{callee_name}}?",
    asks_unnamed="¿Con quién hablo, por favor?",
    why="Solo puedo decir de qué se trata a {{callee_name|la persona a quien llamo}}.",
    goodbye="Gracias, volveré a llamar en otro momento. Adiós.",
    message=(
        "Hola, le habla {{agent_name}}[[ de {{organization}}]], con un mensaje[[ para {{callee_name}}]]. "
        "Llámenos cuando pueda, por favor. Gracias, adiós."
    ),
    screening="Le habla {{agent_name}}[[ de {{organization}}]].[[ Llamo a {{callee_name}}.]]",
    introduces=(
        "soy|yo soy|aqui|habla|le habla|me llamo|mi nombre es|esta hablando con|habla usted con|le atiende|es"
    ),
    presents="al habla|al aparato|le habla|habla|aqui|para servirle",
    titles="sr|sra|srta|senor|senora|senorita|don|dona|dr|dra|doctor|doctora",
    speaking=(
        "soy yo|yo soy|yo mismo|yo misma|el mismo|la misma|con el|con ella|con el mismo|con la misma|"
        "si soy|si con el|si con ella|al habla|al aparato|el habla|ella habla|habla con el|habla con ella|"
        "ese soy yo|esa soy yo|asi me llamo|conmigo|para servirle|a sus ordenes|soy"
    ),
    yes=(
        "si|sip|claro|claro que si|correcto|exacto|exactamente|asi es|efectivamente|por supuesto|afirmativo|"
        "aja|eso es"
    ),
    courtesies=(
        "hola|alo|bueno|diga|digame|buenos dias|buenas tardes|buenas noches|buenas|gracias|por favor|senor|"
        "senora|que desea|que necesita|en que puedo ayudarle|en que le puedo ayudar|que tal|pues|eh|mande|"
        "adelante"
    ),
    denies=Wording(
        r"^no\b(?! (?:hay )?(?:problema|pasa nada))",
        r"(?:numero|persona) equivocad[oa]",
        r"se (?:ha )?equivoc(?:a|o|ado)",
        r"no (?:esta|se encuentra|vive|trabaja|es|soy|hay|lo|la|puede|le)",
        r"(?:ha|se ha|acaba de) salid[oa]|(?:salio|murio|fallecio|se mudo|se fue)",
        r"soy (?:su|la|el) (?:espos[oa]|mujer|marido|madre|padre|mama|papa|hij[oa]|herman[oa]|secretari[oa]|"
        r"asistente|companer[oa]|vecin[oa]|pareja)",
        r"(?:espos[oa]|mujer|marido|madre|padre|hij[oa]|herman[oa]) de",
        r"nadie (?:aqui )?(?:con ese nombre|que se llame|se llama)",
    ),
    wonders=Wording(
        r"(?:de parte de|con|por) quien",
        r"quien (?:es|habla|llama|me habla|me llama|lo llama|la llama|eres|pregunta)",
        r"(?:de|sobre|acerca de) que (?:se )?(?:trata|es|asunto|llama)?",
        r"(?:para|por) que (?:es|llama|seria|asunto|motivo|me llama)?",
        r"(?:que|cual es el) (?:quiere|asunto|motivo)",
        r"de donde (?:llama|me llama|es)",
        r"(?:es|eres|hablo con) (?:usted )?(?:un |una )?(?:robot|maquina|bot|persona|grabacion|computadora)",
    ),
    no_name=(
        "yo el ella la lo un una su mi no si que quien con de en aqui asi bueno ocupado ocupada "
        "solo otra otro nadie alguien para por muy casa tarde cierto verdad posible mejor "
        "importante privado correcto claro"
    ),
)
