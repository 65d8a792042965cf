"""Spanish by scenario: STT writes Spanish, lists and phrases are Spanish, TTS is asked for Spanish.

The offline voice speaks English only: what the callee says sounds English, and `heard` is what Deepgram would
write of the Spanish. Nothing in these rules depends on the sound of the words.
"""

from __future__ import annotations

from tests.benchmarks.acts import Act, AgentQuiet, AgentSaid, HangUp, Note, Pause, Say, UntilHungUp
from tests.benchmarks.rules import Answers, Ends, GoesOn, Lives, Never, Rule, Says, Stops
from tests.benchmarks.situations.situation import Situation
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

THEME = "Spanish"
HORA = "Es el jueves, a las dos de la tarde."
APARCAR = (
    "Hay un aparcamiento detrás del edificio. Es gratis durante las dos primeras horas, y luego cuesta tres "
    "euros por hora. La entrada está en la calle Molino, justo al lado de la panadería."
)
PRECIO = "Una visita así cuesta cuarenta euros."
ESPERO = "Claro, tómese su tiempo."
ADIOS = "Muchas gracias, Juan. Adiós."
HABLA = RuleReplies(
    [
        (r"\badi[oó]s\b", Reply(ADIOS, (ToolUse("end_call"),))),
        (r"cu[aá]nto", PRECIO),
        (r"aparcar", APARCAR),
        (r"hora", HORA),
        (r"espere", ESPERO),
    ],
    otherwise="Perdone, ¿puede repetirlo?",
)
_WHERE = Say("Where can I park the car?", name="question", heard="¿Dónde puedo aparcar el coche?")
_TIME = Say("What time is my appointment?", name="question", heard="¿A qué hora es mi cita?")
_COST = Say(
    "No, sorry, how much does a visit cost?", name="interruption", heard="No, perdone, ¿cuánto cuesta la visita?"
)
_WAIT = Say("Wait, wait.", name="stop", heard="Espere, espere.")
_AHA = Say("Uh huh.", name="backchannel", heard="Ajá.")
_REST = (AgentQuiet(), Pause(1600))


def _spanish(name: str, *acts: Act, rules: tuple[Rule, ...], first: str = "agent") -> Situation:
    return Situation(
        name,
        THEME,
        (*acts, HangUp()),
        rules,
        scenario="confirmacion_de_cita",
        replies=HABLA,
        first_speaker=first,
        order={
            "action": "Confirmar su cita el jueves a las dos",
            "context": "Doctora Pérez, calle Mayor 12.",
            "callee_name": "Juan",
            "agent_name": "Elena",
            "organization": "Clínica Sonrisa",
        },
    )


def _over(at_ms: int, *acts: Act) -> tuple[Act, ...]:
    return (AgentQuiet(), Pause(200), _WHERE, AgentSaid(at_ms), *acts)


SITUATIONS = (
    _spanish(
        "question",
        *(AgentQuiet(), Pause(200), _TIME, AgentQuiet()),
        rules=(Answers("question", HORA), Lives()),
    ),
    _spanish("ajá", *_over(3000, _AHA, *_REST), rules=(GoesOn(APARCAR, over="backchannel"), Lives())),
    _spanish(
        "espere",
        *_over(3000, _WAIT, AgentQuiet()),
        rules=(Stops("stop"), Answers("stop", ESPERO, since="stop"), Lives()),
    ),
    _spanish(
        "interruption",
        *_over(4000, _COST, AgentQuiet()),
        rules=(Stops("interruption"), Answers("interruption", PRECIO, since="interruption"), Lives()),
    ),
    _spanish(
        "twelve seconds of silence",
        *(AgentQuiet(pause_ms=700), Note("quiet"), Pause(12_000)),
        rules=(Says("¿Sigue ahí?", after="quiet", within_ms=10_000.0, not_before_ms=8500.0), Lives()),
    ),
    _spanish(
        "voicemail hung up on",
        Pause(400),
        Say(
            "You have reached the voicemail of John Miller. Please leave a message after the tone.",
            name="greeting",
            pitch=1.15,
            heard="Este es el buzón de voz de Juan Molina. Por favor, deje su mensaje después de la señal.",
        ),
        UntilHungUp(10_000),
        first="callee",
        rules=(Never("le habla Elena de Clínica Sonrisa"), Ends(("voicemail_reached",))),
    ),
)
