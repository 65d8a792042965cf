"""A call in Spanish: what the vendors are asked for, what Claude is told, what is kept; and one without a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bot.telephony.simulated.script import conversation_for
from tests.calls.server import hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

REQUEST = {
    "scenario": "confirmacion_de_cita",
    "action": "Confirme la cita de Juan el jueves a las dos de la tarde",
    "context": "La doctora Pérez atiende en la calle Mayor 12.",
    "callee_name": "Juan",
    "agent_name": "Elena",
    "organization": "Clínica Sonrisa",
    "first_speaker": "callee",
}
OPENING = (
    "Hola, Juan, le habla Elena de Clínica Sonrisa. Le llamo para confirmar su cita el jueves a las dos de la "
    "tarde. ¿Le sigue viniendo bien?"
)
WHERE = "En la calle Mayor número doce."
GOODBYE = "Muchas gracias, Juan. Hasta el jueves."
OUTCOME = {"reached_goal": True, "summary": "Juan confirmó.", "confirmada": True}
CALLEE = steps(
    say("¿Dígame?"),
    hear(within_ms=12_000),
    say("Sí perfecto ¿dónde está la consulta?"),
    hear(),
    say("Muchas gracias, adiós."),
    wait(),
)


def replies() -> RuleReplies:
    goodbye = Reply(GOODBYE, (ToolUse("record_outcome", OUTCOME), ToolUse("end_call", {"reason": "confirmada"})))
    return RuleReplies([("adiós", goodbye), ("consulta", WHERE)], otherwise="¿Cómo dice?")


async def test_every_vendor_works_in_spanish(tmp_path: Path) -> None:
    async with vendors(CALLEE, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(**REQUEST))
        await server.all_over()
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "agent_hangup", None)
        assert call["vendors"] == {
            "carrier": "twilio",
            "stt": "deepgram",
            "llm": "anthropic",
            "tts": "elevenlabs",
        }
        assert texts_of(call, "agent") == [OPENING, WHERE, GOODBYE]
        assert [text.lower().strip("¿?.") for text in texts_of(call, "callee")][1:] == [
            "sí perfecto ¿dónde está la consulta",
            "muchas gracias, adiós",
        ]
        assert call["outcome"]["reached_goal"] is True
        assert call["outcome"]["fields"]["confirmada"] is True
        assert call["outcome"]["summary"] == "Juan confirmó."
        # Deepgram is told the language; nova-3 knows Spanish.
        (connection,) = sims.deepgram.connections
        assert (connection.query.get("model"), connection.query.get("language")) == ("nova-3", "es")
        # So is ElevenLabs, in the query of each socket, and no word of English is sent to it.
        assert sims.elevenlabs.sockets
        for socket in sims.elevenlabs.sockets:
            assert socket.query["model_id"] == "eleven_flash_v2_5"
            assert socket.query["language_code"] == "es"
        _check_claude([exchange.request for exchange in sims.anthropic.exchanges])


def _check_claude(requests: list[Any]) -> None:
    assert len(requests) >= 2  # a reply may be prepared before the turn is over, and again
    for request in requests:
        assert request.system.rstrip().endswith("context are in.")
        assert "Speak Spanish only" in request.system
        assert "Trata a la persona de usted" in request.system
        assert REQUEST["action"] in request.system
        assert REQUEST["context"] in request.system
    told = json.dumps(requests[-1].messages, ensure_ascii=False)
    for text in (OPENING, "¿dónde está la consulta", WHERE):
        assert text in told


async def test_without_a_key_the_rules_speak_spanish_too(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=conversation_for, profile=None) as server:
        example = server.agent.planner.scenarios.get("confirmacion_de_cita").example
        given = {"action": example.action, "context": example.context, "organization": example.organization}
        call = await server.ended(await server.call(**REQUEST | given), within=90.0)
        assert call["vendors"]["llm"] == "rules"
        assert (call["ended_reason"], call["error"]) == ("agent_hangup", None)
        agent = texts_of(call, "agent")
        assert agent[0] == (
            "Hola, Juan, le habla Elena, asistente de inteligencia artificial, de Clínica Sonrisa. "
            "¿Me permite grabar esta llamada?"
        )
        assert agent[1].startswith("Gracias. Le llamo para confirmar su cita")
        consent = call["consent"]
        assert (consent["mode"], consent["answer"], consent["recording"]) == ("ask", "yes", "kept")
        assert (await server.http.get(call["recording_url"])).status_code == 200
        assert "La consulta está en la calle Mayor 12, segundo piso." in " ".join(agent)
        assert "La cita se puede cambiar de lunes a viernes." in " ".join(agent)
        assert agent[-1] == "Muchas gracias, Juan, y adiós."
        assert call["outcome"]["reached_goal"] is True
        assert call["outcome"]["fields"] == {"confirmada": True, "cambio_solicitado": None}


async def test_flux_is_told_the_language_as_well(tmp_path: Path) -> None:
    callee = steps(
        say("¿Bueno?"), hear(), say("Sí ¿dónde está la consulta?"), hear(), say("Gracias, adiós."), wait()
    )
    async with vendors(callee, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(**REQUEST | {"scenario": "cita_flux"}))
        await server.all_over()
        assert (call["ended_reason"], call["vendors"]["stt"]) == ("agent_hangup", "deepgram_flux")
        opening = OPENING.replace(", le habla Elena de Clínica Sonrisa", "")
        assert texts_of(call, "agent") == [opening, WHERE, GOODBYE]
        (connection,) = sims.deepgram.connections
        assert (connection.query.get("model"), connection.query.all("language_hint")) == (
            "flux-general-multi",
            ["es"],
        )
        assert {socket.query["language_code"] for socket in sims.elevenlabs.sockets} == {"es"}
