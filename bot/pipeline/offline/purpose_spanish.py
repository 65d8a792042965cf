"""Why the agent calls, worded for the phone in Spanish: what `purpose` does for English. Pure.

"Confirme la cita del paciente el "
"jueves" becomes "confirmar su cita el jueves", which follows "Le llamo para", and
the question "¿Le sigue viniendo bien?". The callee is addressed as "usted". An action in another language cannot
be translated by rule: it has no reason and no question, and the scenario's fallbacks stand in.
"""

from __future__ import annotations

import re

from bot.languages import plain
from bot.pipeline.offline.purpose import Answers, Ask, Purpose
from bot.records import CallSpec

CONFIRMING = frozenset(["confirmar", "reconfirmar", "verificar", "comprobar", "validar"])
SCHEDULING = frozenset(
    ["reprogramar", "cambiar", "mover", "agendar", "programar", "reservar", "concertar", "aplazar", "posponer"]
)
_TELLING = frozenset(
    ["recordar", "informar", "avisar", "comunicar", "notificar", "decir", "anunciar", "cancelar", "anular"]
)
_ASKING = frozenset(["preguntar", "averiguar", "saber", "consultar"])
_OFFERING = frozenset(["ofrecer", "invitar", "presentar"])
_OTHER = frozenset(
    ["hablar", "dar", "pedir", "solicitar", "agradecer", "hacer", "realizar", "entregar", "enviar", "felicitar"]
)
_VERBS = CONFIRMING | SCHEDULING | _TELLING | _ASKING | _OFFERING | _OTHER
_TO_THEM = (_TELLING | _OTHER | {"preguntar", "ofrecer", "invitar"}) - {
    "cancelar",
    "anular",
    "hablar",
    "realizar",
}
"""Verbs that the callee is the object of: "recordarle"."""
_IRREGULAR = {
    form: verb
    for verb, forms in {
        "recordar": "recuerde recuerda recuerdes",
        "comprobar": "compruebe comprueba compruebes",
        "mover": "mueva mueve",
        "aplazar": "aplace aplaces",
        "posponer": "posponga pospon",
        "decir": "diga di digas",
        "ofrecer": "ofrezca ofrece ofrezcas",
        "pedir": "pida pide pidas",
        "hacer": "haga haz hagas",
        "agradecer": "agradezca agradece",
        "averiguar": "averigue",
        "verificar": "verifique verifiques",
        "comunicar": "comunique comuniques",
        "notificar": "notifique notifiques",
        "entregar": "entregue entregues",
        "dar": "de da des",
    }.items()
    for form in forms.split()
}
_FORMS = (
    {verb: verb for verb in _VERBS}
    | {verb[:-2] + end: verb for verb in _VERBS if verb.endswith("ar") for end in ("e", "a", "es", "en")}
    | _IRREGULAR
)
"""Plain imperative, subjunctive or infinitive → infinitive."""
_WHO = r"(?:cliente|paciente|clienta|usuario|usuaria|persona|interesado|interesada|contacto|huésped|señor|señora)"
_PRELUDE = re.compile(
    r"^(?:por favor|(?:el objetivo|la tarea|el propósito)(?: de (?:la|esta) llamada)? es|(?:quiero"
    r"|necesito) que"
    r"|(?:hay|tienes?) que|debes?|para|llam(?:a|e|ar) (?:a |al |a la )[\w .]{1,40}? (?:para|y))\b[ ,:]+",
    re.IGNORECASE,
)
_ENGLISH = re.compile(r"\b(?:the|your|and|with|of|for|to|on|whether|ask|remind|about|is|appointment)\b")
_SPANISH = re.compile(r"\b(?:el|la|los|las|su|de|del|que|con|para|una?|por|si|al|cita)\b")
_A_TIME = re.compile(
    r"\b(?:lunes|martes|miercoles|jueves|viernes|sabado|domingo|manana|hoy|a las? \w+|\d{1,2} de \w+"
    r"|\d{1,2} \d\d)\b"
)
_CLAUSE = re.compile(r"(?:si|que|cuando|donde|como|quien|cual|cuanto)\b")


def purpose(spec: CallSpec, *, has_questions: bool) -> Purpose | None:
    """What the call is for; None without an action, or with one in another language."""
    instructions = _instructions(spec)
    if not instructions:
        return None
    verb, topic = instructions[0]
    own = _ask(verb, topic)
    ask = own
    if has_questions and own.answers is Answers.PERMISSION:
        ask = Ask("¿Tiene un minuto para unas preguntas breves?", Answers.PERMISSION)
    said = f"para {_order(verb, topic)}"
    return Purpose(said, topic, verb, ask, own, tuple(_order(*further) for further in instructions[1:]))


def reason(spec: CallSpec) -> str | None:
    """The action as it follows "Le llamo para"; None without one in Spanish."""
    instructions = _instructions(spec)
    return _order(*instructions[0]) if instructions else None


def question(spec: CallSpec) -> str | None:
    """The question that follows the reason in an opening; None without a reason."""
    instructions = _instructions(spec)
    return _ask(*instructions[0]).opening if instructions else None


def _order(verb: str, topic: str) -> str:
    if not verb:
        return f"hablarle de {topic}"
    return f"{verb}{'le' if verb in _TO_THEM else ''} {topic}".strip()


def _ask(verb: str, topic: str) -> Ask:
    clause = _CLAUSE.match(plain(topic))
    if verb in _ASKING:
        asked = re.sub(r"^(?:por|sobre)\s+", "", topic)
        return Ask(f"¿Me podría decir {asked}?", Answers.WORDS, "¿Me lo podría decir?")
    if verb in CONFIRMING or (not verb and _A_TIME.search(plain(topic))):
        return Ask("¿Es correcto?" if clause else "¿Le sigue viniendo bien?", Answers.YES_NO)
    if verb in SCHEDULING:
        return Ask("¿Qué día y a qué hora le vendría bien?", Answers.TIME)
    if verb in _TELLING:
        return Ask("¿Le parece bien?", Answers.YES_NO)
    if verb in _OFFERING:
        return Ask("¿Le interesaría?", Answers.YES_NO)
    return Ask("¿Tiene un momento?", Answers.PERMISSION)


def _instructions(spec: CallSpec) -> list[tuple[str, str]]:
    """(infinitive or "", the rest) of each sentence of the action."""
    if not _is_spanish(spec.action):
        return []
    sentences = re.split(r"(?<=[.!?;])\s+", spec.action.replace("Dr. ", "Dr· ").replace("Dra. ", "Dra· "))
    found = [_instruction(sentence.replace("·", "."), spec) for sentence in sentences]
    return [(verb, topic) for verb, topic in found if verb or topic]


def _instruction(sentence: str, spec: CallSpec) -> tuple[str, str]:
    text = " ".join(sentence.split()).strip(" .!?;¡¿")
    while (shorter := _PRELUDE.sub("", text)) != text:
        text = shorter
    first, _, rest = text.partition(" ")
    verb = _infinitive(first)
    if not verb:
        return "", _to_you(_lowered(re.sub(r"^(?:sobre|acerca de|asunto:)\s+", "", text, flags=re.I)), spec)
    return verb, _to_you(rest, spec)


def _infinitive(word: str) -> str:
    bare = plain(word)
    for form in (bare, re.sub(r"(?:le|les|lo|la|nos)$", "", bare)):
        if form in _FORMS and (form not in ("de", "da", "di") or bare != form):
            return _FORMS[form]
    return ""


def _to_you(text: str, spec: CallSpec) -> str:
    """The callee spoken of becomes the callee spoken to."""
    names = sorted({spec.callee_name or "", *(spec.callee_name or "").split()}, key=len, reverse=True)
    some = "|".join(re.escape(name) for name in names if len(name) > 1)
    name = rf"(?-i:{some})" if some else r"(?!)"
    them = rf"(?:(?:el|la) {_WHO}|{name})"
    text = re.sub(rf"^(?:al {_WHO}|a la {_WHO}|a {name})\b[ ,]*", "", text, flags=re.I)
    text = re.sub(
        rf"\b(?:el|la)( \w+(?: (?:con|de) (?!{name})(?:el |la )?[\w.]+){{0,2}}?) (?:del {_WHO}|de la "
        rf"{_WHO}|de {name})\b",
        r"su\1", text, flags=re.I,
    )  # fmt: skip
    text = re.sub(rf"\bcon {them}\b", "con usted", text, flags=re.I)
    text = re.sub(rf"\bal {_WHO}\b", "a usted", text, flags=re.I)
    text = re.sub(rf"\b{them}\b", "usted", text, flags=re.I)
    return re.sub(r"\btu(s?)\b", r"su\1", text, flags=re.I)


def _is_spanish(text: str) -> bool:
    words = plain(text)
    if not words:
        return False
    return len(_SPANISH.findall(words)) >= len(_ENGLISH.findall(words))


def _lowered(text: str) -> str:
    first = text.split(maxsplit=1)[0] if text else ""
    return (
        text[0].lower() + text[1:]
        if first[1:].islower() and first not in ("Dr.", "Dra.", "Sr.", "Sra.")
        else text
    )
