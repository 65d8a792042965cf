"""Spanish words for the brief brain: what a sentence means, and what a question asks for. Data.

Rules are matched against plain text: lower case, no accents, no punctuation.
"""

from __future__ import annotations

from bot.languages import Wording
from bot.pipeline.offline.tongue import FactKind
from bot.pipeline.offline.understanding import Intent

MEANINGS = {
    Intent.DO_NOT_CALL: Wording(
        r"no (?:me |nos |lo |la )?(?:vuelv(?:an?|as)|quiero que (?:me |nos )?(?:vuelv(?:an?|as))) a"
        r" (?:llamar|molestar|marcar)(?:me|nos)?",
        r"no (?:me |nos )?(?:llam(?:en?|es)|marquen?|molesten?)(?: por favor)?"
        r" (?:mas|nunca|otra vez|de nuevo|jamas)",
        r"no (?:me |nos )?(?:llam(?:en?|es))(?: a este numero| aqui)? (?:nunca )?mas",
        r"(?:nunca|jamas) (?:mas )?(?:me |nos )?(?:vuelvan? a llamar|llamen?)(?:me|nos)?",
        r"dej(?:en?|a|e ya|en ya) de (?:llamar|molestar|marcar)(?:me|nos)?",
        r"(?:quit|borr|elimin|saqu)(?:e|en|a) mi (?:numero|nombre|telefono)",
        r"(?:quit|borr|elimin|saqu)(?:e|en|a)(?:me|nos) de (?:su|la|esa|sus)",
        r"no quiero (?:recibir )?(?:mas|ninguna|otra) llamadas?",
        r"no quiero que (?:me|nos) (?:llam(?:en?|es)|vuelvan? a llamar|marquen?)(?: mas| nunca)?$",
        r"no (?:me|nos) llamen?(?: por favor)?$",
        r"lista (?:de exclusion|robinson)",
    ),
    Intent.WRONG_NUMBER: Wording(
        r"numero equivocado",
        r"se (?:ha )?equivoca(?:do)?(?: de (?:numero|persona))?",
        r"equivocad[oa]",
        r"aqui no (?:hay|vive) (?:ningun|nadie)\w*",
        r"no (?:soy|es) (?:esa|la) persona",
        r"no conozco a",
    ),
    Intent.ORDERS: Wording(
        r"(?:ignor|olvid)(?:a|e|ar|es) (?:\w+ ){0,4}(?:instrucciones|reglas|ordenes|anterior|todo)",
        r"tu(?:s)? instrucciones|sus instrucciones|el prompt",
        r"ahora eres",
        r"actua como",
        r"finge(?: que| ser)",
    ),
    Intent.ROBOT: Wording(
        r"(?:eres|es usted|es|esto es|hablo con) (?:un |una )?(?:robot|maquina|bot|persona real|grabacion"
        r"|ordenador"
        r"|computadora|inteligencia artificial|humano|ia|contestador)",
    ),
    Intent.WHO: Wording(
        r"quien (?:es|eres|habla|llama|me (?:llama|habla))",
        r"con quien (?:hablo|tengo el gusto)",
        r"de parte de quien",
        r"de donde (?:llama|me llama)",
        r"de que (?:empresa|compania|clinica)",
        r"como (?:se|te) llama",
        r"cual es su nombre",
    ),
    Intent.WHY: Wording(
        r"(?:por|para) que (?:me |nos )?(?:llama|esta llamando)",
        r"que (?:quiere|desea|necesita)$",
        r"de que se trata",
        r"cual es el motivo",
        r"a que se debe",
        r"que se le ofrece",
        r"en que (?:le )?puedo ayudar",
    ),
    Intent.REPEAT: Wording(
        r"(?:puede |podria |me lo )?(?:repit[ea]|repetir)(?:melo|lo)?",
        r"como (?:dice|dijo|ha dicho)",
        r"que (?:dice|dijo|ha dicho)",
        r"no (?:le|te|la|lo) (?:he )?(?:oigo|oi|oido|entiendo|entendi|entendido|escucho)",
        r"no (?:he )?(?:entiendo|entendi|entendido|oi|oido)",
        r"otra vez por favor",
        r"^(?:perdon|disculpe|como|que)$",
        r"mas despacio",
        r"se (?:corta|entrecorta)",
    ),
    Intent.HOLD: Wording(
        r"(?:un|deme un|espere un) (?:momento|momentito|segundo|segundito|minuto|minutito)",
        r"esper[ea]",
        r"no cuelgue",
        r"deje(?:me)? (?:ver|mirar|comprobar)",
        r"voy a (?:mirar|ver|comprobar)",
        r"permitame",
    ),
    Intent.LATER: Wording(
        r"(?:llam[ea]me|llamar(?:me)?|llamen(?:me)?|llame|vuelva a llamar(?:me)?)"
        r" (?:\w+ ){0,2}(?:luego|mas tarde|despues|manana|otro (?:dia|momento)|en otro momento|el \w+)",
        r"(?:estoy|ando) (?:\w+ )?(?:ocupad[oa]|conduciendo|manejando|trabajando|en una reunion)",
        r"(?:ahora|en este momento) no puedo(?: hablar)?",
        r"no puedo hablar",
        r"no es (?:un )?buen momento",
        r"me (?:pilla|agarra) (?:mal|ocupad[oa])",
    ),
    Intent.CANCEL: Wording(
        r"cancel(?:ar|arla|o|e|ela|emos|enla)",
        r"anul(?:ar|arla|e|ela|o)",
        r"ya no (?:la |lo )?(?:quiero|necesito|voy a ir)",
    ),
    Intent.RESCHEDULE: Wording(
        r"(?:cambiar|mover|aplazar|posponer|reprogramar|retrasar|adelantar)(?:la|lo)?",
        r"(?:otro|otra|distinto) (?:dia|hora|fecha|momento|horario|cita)",
        r"no (?:puedo|podre|podria|voy a poder|vamos a poder|me es posible)(?: (?:ir|asistir|venir|acudir"
        r"|ese dia|el|a))?",
        r"no me (?:viene|va|queda|sirve|conviene)(?: bien| bueno)?",
        r"me (?:viene|va|queda) (?:mal|fatal)",
        r"imposible",
        r"(?:mejor|prefiero|preferiria) (?:el|la|otro|manana|por|a)",
    ),
    Intent.DECLINE: Wording(
        r"no me interesa",
        r"no estoy interesad[oa]",
        r"no quiero (?:\w+ ){0,2}(?:nada|contestar|seguir|hablar|participar)",
        r"no tengo tiempo",
        r"prefiero no",
        r"dejeme en paz",
    ),
    Intent.MESSAGE: Wording(
        r"(?:dejar|deje|tome|tomar|dar|pasar?)(?:le|me)? (?:un |el |este )?(?:recado|mensaje)",
        r"dig(?:a|an)le",
        r"que (?:me )?(?:llame|llamen)",
    ),
    Intent.GOODBYE: Wording(
        r"adios",
        r"hasta (?:luego|pronto|manana|el \w+|la vista)",
        r"chao|chau",
        r"nos vemos",
        r"buen dia gracias",
        r"(?:que )?(?:tenga|pase) (?:un )?(?:buen|feliz|muy buen|buena)",
        r"(?:eso|nada) es todo",
        r"nada mas",
        r"cuidese",
        r"que (?:le|te) vaya bien",
    ),
    Intent.THANKS: Wording(r"(?:muchas |mil )?gracias", r"(?:muy amable|se lo agradezco|te agradezco)"),
    Intent.YES: Wording(
        r"si",
        r"claro(?: que si)?",
        r"por supuesto",
        r"desde luego",
        r"como no",
        r"correcto",
        r"exacto",
        r"exactamente",
        r"de acuerdo",
        r"vale",
        r"ok|okay|okey",
        r"perfecto",
        r"muy bien",
        r"esta bien",
        r"confirmo",
        r"confirmad[oa]",
        r"ahi (?:estare|estaremos)",
        r"alli (?:estare|estaremos)",
        r"me (?:viene|va|queda|parece) bien",
        r"asi es",
        r"seguro",
        r"sin (?:problema|falta)",
        r"no hay (?:ningun )?problema",
        r"adelante",
        r"digame",
        r"me (?:interesa|interesaria|gustaria)",
        r"puedo ir",
        r"ire|iremos",
        r"bueno$",
        r"listo",
        r"genial|estupendo",
    ),
    Intent.NO: Wording(
        r"no(?! hay (?:ningun )?problema)",
        r"tampoco",
        r"nunca",
        r"negativo",
        r"para nada",
        r"que va",
    ),
    Intent.GREETING: Wording(
        r"hola",
        r"alo",
        r"bueno$",
        r"digame|diga",
        r"buen(?:os|as) (?:dias|tardes|noches)",
        r"buenas",
        r"si digame",
        r"soy yo",
        r"al habla",
        r"mande",
    ),
    Intent.HOW_ARE_YOU: Wording(r"(?:como|que tal) (?:esta|estas|le va|te va)", r"que tal$"),
}

KINDS = {
    "cost": FactKind(
        Wording(
            r"cuanto (?:cuesta|vale|es|sale|cobran|hay que pagar|tengo que "
            r"pagar)",
            r"precio|coste|costo|tarifa",
        ),
        Wording(
            r"\d+ (?:euros?|pesos?|dolares?"
            r"|soles)",
            r"precio|coste|costo|tarifa|cuesta|gratis|gratuit[oa]|eur",
        ),
        "cuanto cuesta vale precio coste costo tarifa cobran pagar",
    ),
    "where": FactKind(
        Wording(r"donde", r"direccion", r"como (?:llego|se llega|llegar)", r"que (?:planta|piso|calle|puerta)"),
        Wording(
            r"calle|avenida|avda|plaza|paseo|carretera|numero|piso|planta|puerta|edificio|direccion"
            r"|consultorio"
            r"|despacho|oficina|sala|local|centro comercial|esquina|junto a|frente a|al lado de|metro"
            r"|barrio|colonia"
        ),
        "donde direccion esta estan queda quedan encuentra llego llegar exactamente consulta consultorio "
        "clinica oficina"
        " sitio lugar planta piso calle puerta",
    ),
    "who": FactKind(
        Wording(
            r"quien|quienes",
            r"con (?:que|cual) (?:doctora?|medic[oa]|dentista|persona)",
            r"que (?:doctora?|dentista)",
        ),
        Wording(r"dra?|sra?|doctora?|dentista|higienista|medic[oa]|enfermer[oa]|especialista|asesora?"),
        "quien quienes doctor doctora dentista medico medica atiende atendera vera cita persona",
    ),
    "reschedule": FactKind(
        Wording(
            r"(?:cambiar|mover|aplazar|posponer|reprogramar|anular|cancelar)(?:la|lo)?",
            r"otr[oa] (?:dia|hora|fecha|momento|cita)",
            r"surge algo|surgiera",
        ),
        Wording(
            r"cambi\w+|mover\w*|aplaza\w*|pospon\w+|reprogram\w+|anula\w*|cancela\w*|otr[oa] (?:dia|hora"
            r"|fecha)"
        ),
        "cambiar cambio mover aplazar posponer reprogramar anular cancelar otro otra dia hora fecha "
        "momento cita surge algo",
    ),
    "how_long": FactKind(
        Wording(r"cuanto (?:dura|tiempo|tarda|tardare|se tarda)", r"cuantos minutos|cuantas horas"),
        Wording(
            r"(?:\d+|un|una|media|treinta|cuarenta|sesenta|veinte|quince) (?:y cinco )?(?:minutos?"
            r"|horas?)"
        ),
        "cuanto dura tiempo tarda tardare cita visita minutos horas",
    ),
    "when": FactKind(
        Wording(r"cuando|a que hora|que (?:dia|hora|fecha)|horario|hasta que hora|abren|abierto|cierran"),
        Wording(
            r"lunes|martes|miercoles|jueves|viernes|sabado|domingo|a las? \w+|\d{1,2} \d\d|horario"
            r"|abrimos|abierto|mediodia"
        ),
        "cuando hora dia fecha horario abren abierto cierran cita",
    ),
    "contact": FactKind(
        Wording(r"telefono|numero|correo|email|pagina web|contact\w+"),
        Wording(r"\d{3} ?\d{2,3}|correo|email|www|telefono|web"),
        "telefono numero correo email pagina web contacto contactar llamar",
    ),
}
