"""How mailboxes, call screeners, menus and carriers of Spain and the Americas word what they say, in Spanish.

Rules are matched against plain text: lower case, no punctuation, no accents: "despues", "senal", "buzon".
"""

from bot.languages.language import Answering
from bot.languages.wording import Wording

_DIGIT = (
    r"(?:\d|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|asterisco|estrella|almohadilla|gato|numeral)"
)
_PRESS = r"(?:pulse|presione|marque|oprima|digite|pulsa|presiona|marca|teclee)"
_LATER = r"(?!.*\b(?:llamo luego|llamare|le llamo|te llamo|mensaje|correo)\b)"
_WELL = r"(?:ay|ah|eh|ok|si|claro|bueno|vale|a ver|pues|perdon|perdone|disculpe|mire|oiga|muy bien|de acuerdo)"
_WAIT = (
    r"(?:(?:(?:espere|espera|espereme|esperame|aguarde|aguarda|deme|dame|me da|permitame) )?(?:solo )?un "
    r"(?:momento|momentito|segundo|segundito|minuto|minutito|instante|ratito)|"
    r"(?:espere|espera|espereme|esperame|aguarde|permitame)|ahora (?:mismo )?vuelvo|enseguida vuelvo)"
)
_ILL = r"(?:dejeme|dejame|permitame|voy a|tengo que)"
_LOOK = (
    r"(?:ver|mirar|comprobar|revisar|consultar|buscar|preguntar|apuntar|coger|tomar|veo|miro|reviso|busco|"
    r"consulto|"
    r"compruebo|pregunto|cojo)(?:lo|la)?"
)

SPANISH_MACHINES = Answering(
    tone=Wording(
        r"(?:despues|tras|luego|al (?:oir|escuchar|sonar)|a partir|oiga|escuche|cuando (?:oiga|escuche))"
        r" (?:del?|de la|el|la)? ?(?:tono|senal|pitido|bip|beep)",
        r"grabe (?:su|un) mensaje",
    ),
    voicemail=Wording(
        r"buzon(?: de)?(?: voz| mensajes)?",
        r"contestador(?:a)?(?: automatic[oa])?",
        r"correo de voz",
        r"casilla de (?:voz|mensajes)",
        r"mensaje de voz",
    ),
    speaks_of_messages=Wording(
        r"(?:recibi|escuche|oi|deje|vi|tengo|dejaron|dejo|me dejo|me dejaron|recibimos) (?:\w+ ){0,3}"
        r"(?:mensajes?|buzon)",
        r"(?:dejo|puedo dejar|tengo que dejar|debo dejar|grabo|hablo) (?:\w+ ){0,3}(?:mensaje|despues|tras)",
        r"pense que (?:\w+ ){0,4}(?:buzon|contestador)",
    ),
    asks_for_message=Wording(
        r"(?:deje|deja|dejen|dejenos|dejeme|dejame|dejanos) (?:su|un|tu|el|sus|aqui su) (?:breve )?"
        r"(?:mensaje|recado|nombre|datos)",
    ),
    mailbox_full=Wording(
        r"(?:buzon|casilla)(?: de (?:voz|mensajes))? (?:esta|se encuentra) (?:llen[oa]|complet[oa])",
        r"no (?:puede|admite|acepta) (?:recibir )?(?:mas )?mensajes",
        r"no (?:ha|tiene) (?:sido )?(?:configurado|activado) (?:su |el )?(?:buzon|correo)",
    ),
    screening=Wording(
        r"(?:diga|di|indique|grabe|digame|dime|mencione|deje) (?:su|tu) nombre y (?:el |la |por |cual )?"
        r"(?:motivo|razon|que|asunto|es)[\w ]*",
        r"(?:diga|indique|grabe|mencione|digame) (?:el |la )?(?:motivo|razon|asunto) de (?:su|la|tu) llamada",
        r"(?:diga|indique|grabe|mencione) su nombre",
        r"(?:servicio de )?filtr(?:o|ado) de llamadas",
        r"filtra(?:ndo)? (?:sus|las|esta) llamadas?",
        r"asistente (?:virtual|de llamadas|de google|telefonico)",
        r"(?:vere|voy a ver) si (?:la persona |esta persona )(?:esta|puede)",
        r"no acepta llamadas de (?:numeros )?(?:desconocidos|ocultos|anonimos|privados)",
    ),
    menu=Wording(
        rf"{_PRESS} (?:el |la |la tecla |el numero |la opcion )?{_DIGIT}",
        rf"(?:para|si) [\w ]{{2,50}} (?:{_PRESS}|diga)",
        r"diga o (?:pulse|marque|presione)",
        r"escuche (?:atentamente |con atencion )?(?:las siguientes|nuestras|todas las|el "
        r"siguiente) (?:opciones|menu)",
        r"(?:nuestro menu|nuestras opciones) (?:ha|han) cambiado",
        r"(?:menu principal|siguientes opciones)",
        r"si conoce (?:el|la|su) (?:numero de )?(?:la )?extension",
        r"marque (?:el|la|su) (?:numero de )?(?:la )?extension",
        r"for english",
        r"digame en pocas palabras",
    ),
    unavailable=Wording(
        r"(?:numero|telefono|linea|abonado|movil|celular|cliente|usuario|suscriptor|persona)"
        r" (?:movil |celular |telefonico )?(?:que (?:usted )?(?:ha )?(?:marcado|marco|llama|discado|disco|llamo)"
        r"|al que (?:usted )?(?:llama|ha llamado|esta llamando|marco)|a (?:la que|quien) (?:usted )?(?:esta )?"
        r"(?:llama|llamando)|marcado|llamado)?[\w ]{0,20}"
        r"(?:no existe|no esta (?:disponible|en servicio|asignado|activo)|no se encuentra "
        r"(?:disponible|en servicio)|"
        r"no corresponde|ha sido (?:desconectado|cambiado|suspendido)|esta (?:apagado|"
        r"desconectado|fuera de servicio|"
        r"suspendido|ocupado|fuera de cobertura|fuera del area)|se encuentra (?:apagado|"
        r"desconectado|fuera|suspendido))",
        r"apagado o fuera de (?:cobertura|servicio|area)",
        r"fuera del area de (?:servicio|cobertura)",
        r"(?:su )?llamada no (?:puede|pudo|se puede|ha podido) (?:ser )?"
        r"(?:completad[ao]|completarse|completar|realizarse|realizar|cursad[ao]|procesad[ao])",
        r"(?:verifique|compruebe|revise) el numero",
        r"telefonica le informa",
        r"no esta asignado a ningun (?:cliente|abonado|usuario)",
        r"todas las lineas (?:estan|se encuentran) ocupadas",
        r"(?:en este momento )?no (?:recibe|acepta) llamadas",
    ),
    lasting=Wording(
        r"no existe",
        r"no (?:esta|se encuentra) (?:en servicio|asignado|activo)",
        r"no corresponde",
        r"(?:ha sido|esta|se encuentra) (?:desconectado|cambiado)",
        r"(?:verifique|compruebe|revise) el numero",
    ),
    busy=Wording(
        r"todas las lineas (?:estan|se encuentran) ocupadas",
        r"(?:esta|se encuentra) (?:ocupad[oa]|en otra llamada)",
    ),
    recording=Wording(
        r"en (?:este|estos) momentos? no (?:puedo|podemos) (?:atender|contestar|responder)\w*",
        r"(?:le|te) (?:devolvere|devolveremos|llamare|llamaremos) (?:la llamada )?"
        r"(?:lo antes posible|en cuanto|tan pronto|cuando)",
        r"(?:llamada|conversacion) (?:puede|podra|sera|esta) (?:ser )?(?:grabada|siendo grabada)",
        r"(?:nuestro|el) horario",
        r"(?:estamos|esta|se encuentra) cerrad[oa]s?",
        r"su llamada es (?:muy )?importante",
        r"gracias por (?:su llamada|llamar|su paciencia)",
    ),
    holding=Wording(
        r"(?:espere|permanezca|aguarde|mantengase)(?: \w+){0,2} (?:en )?(?:la )?linea",
        r"(?:por favor )?(?:espere|aguarde)(?: un momento| por favor)?",
        r"un (?:momento|segundo|momentito)(?: por favor)?",
        r"(?:le|lo|la) (?:comunico|paso|conecto|transfiero)",
        r"(?:estamos|estoy) (?:conectando|transfiriendo|intentando)",
        r"su llamada es (?:muy )?importante",
        r"^(?:muchas )?gracias$",
    ),
    queue=Wording(
        r"(?:espere|permanezca|aguarde|mantengase|siga|continue|quedese)(?: \w+){0,2} (?:en|"
        r"a) (?:la )?(?:linea|espera)",
        r"no (?:cuelgue|corte)(?: por favor)? (?:su|en|le|enseguida|un|sera|seguimos)",
        r"(?:proximo|siguiente|primer) (?:\w+ )?(?:agente|operador|operadora|representante|asesor|asesora|"
        r"ejecutivo|"
        r"ejecutiva)",
        r"(?:nuestros|nuestras|todos|todas)(?: nuestros| nuestras| los| las)? (?:agentes|operadores|operadoras|"
        r"representantes|asesores|asesoras|ejecutivos|ejecutivas|lineas|companeros) (?:estan|se encuentran)",
        r"(?:sera|seran) (?:atendid[oa]s?|contestad[oa]s?)",
        r"(?:le|lo|la) (?:atenderemos|atenderan|atendera|atendemos) (?:en|lo antes|enseguida|a la|por)",
        r"(?:usted )?(?:es|esta en|ocupa) (?:el |la )?(?:numero|lugar|posicion|turno|puesto)",
        r"su (?:lugar|posicion|turno) en la (?:fila|cola|lista)",
        r"(?:llamadas|personas|clientes) (?:delante|por delante|antes que usted)",
        r"tiempo (?:estimado |aproximado |promedio |medio )?(?:de espera|estimado)",
        r"(?:alto|gran|elevado|mayor) (?:volumen|numero) de llamadas",
        r"en (?:breve|unos (?:momentos|instantes|minutos)) (?:le|lo|la|un|uno|una|sera)",
        r"por orden de (?:llegada|llamada|entrada)",
        r"su llamada (?:esta siendo|sera|ha sido puesta)",
    ),
    patience=Wording(
        r"su llamada es (?:muy )?importante",
        r"(?:agradecemos|apreciamos) su (?:paciencia|llamada|espera)",
    ),
    putting_on_hold=Wording(
        r"(?:no (?:me )?cuelgue|(?:puede|podria|quiere|le importa) (?:esperar|aguardar))",
        r"^(?:[\w ]{0,60} )?(?:espere|aguarde|espereme|aguardeme|no cuelgue)(?: un (?:momento|segundo|momentito|"
        r"segundito|instante|minuto))?(?: por favor)?(?: en (?:la )?linea)?(?: por favor)?$",
        r"(?:le|lo|la) (?:comunico|paso|conecto|transfiero|voy a (?:pasar|comunicar|transferir|conectar))"
        r"(?! (?:el|un|una|los|las|la (?!llamada))\b)",
        r"(?:voy a|dejeme|permitame) (?:ver|comprobar|mirar) si (?:esta|el|ella|la|alguien|hay alguien|"
        r"se encuentra)",
        r"(?:voy a|dejeme|permitame) (?:pasarle|pasarlo|pasarla|comunicarle|comunicarlo|comunicarla|transferirle|"
        r"transferirlo|transferirla|conectarle|ponerle|buscar a|avisar a|llamar a)",
        r"(?:ponerle|ponerlo|ponerla|dejarle|dejarlo|dejarla) en espera",
    ),
    short_wait=Wording(
        rf"^{_LATER}(?:{_WELL} )*{_WAIT}(?: {_WAIT}| por favor| gracias)*(?: (?:que |y |"
        rf"mientras )?(?:{_ILL} )?{_LOOK}"
        r"(?: \w+){0,7})?$",
        rf"^{_LATER}(?:{_WELL} )*(?:dejeme|dejame|permitame|a ver si) {_LOOK}(?: \w+){{0,7}}$",
    ),
    taking_over=Wording(
        r"en que (?:puedo|podemos|le puedo|lo puedo|la puedo|te puedo) (?:ayudar|servir|atender)\w*",
        r"(?:le (?:habla|atiende|saluda)|habla|soy) (?:\w+ ){0,3}\w+$",
        r"al habla$",
        r"(?:con quien hablo|quien (?:llama|habla|es))",
        r"^(?:buenos dias|buenas tardes|buenas noches)\b",
    ),
    person=Wording(
        r"^(?:hola|alo|diga|digame|bueno|si|mande)(?: \w+){0,2}$",
        r"(?:hola|alo|digame)$",
        r"(?:ya )?(?:estoy|estamos) aqui",
        r"quien (?:es|habla|llama)",
        r"(?:hay alguien|sigue ahi|esta ahi)",
        r"no cuelgue",
        r"en que (?:puedo|podemos|le puedo) (?:ayudar|servir)\w*",
        r"(?:le habla|habla|soy) \w+(?: \w+)?$",
        r"al habla$",
    ),
    refusing=Wording(
        r"no (?:puede|esta|se encuentra|quiere|desea) (?:atender|contestar|disponible|responder|hablar)\w*",
        r"(?:llame|llama|intente|vuelva a llamar) (?:mas tarde|de nuevo|otro)",
        r"no (?:me |nos )?(?:vuelva|vuelvan) a llamar",
        r"(?:adios|hasta luego)",
    ),
)
