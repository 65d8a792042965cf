"""The softphone: a person at a browser is the callee, or watches a simulated one. Its page is /phone.

A call is asked for here, and then held on a media socket that speaks Twilio's Media Streams; see docs/api.md.
"""

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Request, WebSocket
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from bot.api.answers import PlacedAnswer
from bot.api.auth import KEY_REQUIRED, bound_to, check, given_keys
from bot.api.carrier import carrier_request
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.api.requests import Action, Context, Name
from bot.api.websocket import StarletteSocket, closed_at_end
from bot.audio import pcm_to_mulaw
from bot.calls.ingress import UNAUTHORIZED_CLOSE
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND
from bot.errors import UnauthorizedError
from bot.phone_numbers import BROWSER, TYPED
from bot.records import CallSpec

router = APIRouter(prefix="/softphone", tags=["softphone"], route_class=ProblemRoute)


_PLACED: dict[str, JsonValue] = {
    "call_id": "call_0123456789abcdef01234567",
    "call_sid": "BR0123456789abcdef0123456789abcdef",
    "token": "a1B2c3",
    "expires_seconds": 30.0,
    "media_path": "/api/phone/softphone/media-stream",
}
BeginAndEnd = Annotated[list[float], Field(min_length=2, max_length=2)]
"""No tuple: OpenAPI as FastAPI writes it has no form for one that readers of OpenAPI 3.1 take."""
_LINE: dict[str, JsonValue] = {"audio": "/////w==", "text": "Yes please.", "words": [[20, 310], [330, 700]]}


class _WhatFor(BaseModel):
    """What a call is about."""

    model_config = ConfigDict(extra="forbid")

    scenario: Name = Field(default=DEFAULT_OUTBOUND, description="One that takes calls makes this a call to it.")
    action: Action | None = Field(
        default=None, description="What the call is to achieve; the scenario's example."
    )
    context: Context = Field(default="", description="What the agent may know and tell, as text or an object.")
    callee_name: Name | None = None
    agent_name: Name | None = None
    organization: Name | None = None

    def spec(self, number: str, example: str) -> CallSpec:
        return CallSpec(
            phone_number=number,
            scenario=self.scenario,
            action=self.action or example,
            context=self.context,
            callee_name=self.callee_name,
            agent_name=self.agent_name,
            organization=self.organization,
        )


class SoftphoneRequest(_WhatFor):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"words": "given", "callee_name": "John"}]}
    )

    words: Literal["heard", "given"] = Field(
        default="heard",
        description="`heard`: the server recognises the speech. `given`: the browser sends the words beside it.",
    )


class SoftphoneAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_PLACED]})

    call_id: str
    call_sid: str = Field(description="Of the media stream's `start`.")
    token: str = Field(description="Of its custom parameters; for one socket of the same session.")
    expires_seconds: float
    media_path: str = Field(description="Where the media socket opens.")


class WatchRequest(_WhatFor):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"callee": "hedges"}]})

    callee: Name | None = Field(
        default=None,
        description="A shipped simulated callee; the scenario's own if left out.",
        examples=["hedges"],
    )


class SpeechRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "Yes please."}]})

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class SpeechAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_LINE]})

    audio: str = Field(description="Base64 of μ-law, 8 kHz.")
    text: str
    words: list[BeginAndEnd] = Field(description="Begin and end of each word of the text, in ms.")


@router.post(
    "/calls",
    status_code=201,
    summary="Hold a call in a browser",
    dependencies=[KEY_REQUIRED],
    responses=responses(401, 413, 422, 429, 500),
)
async def begin(body: SoftphoneRequest, request: Request) -> SoftphoneAnswer:
    agent = agent_of(request)
    spec = body.spec(TYPED if body.words == "given" else BROWSER, agent.planner.example_action(body.scenario))
    call = await agent.browser_calls.begin(spec, bound_to(request))
    return SoftphoneAnswer(
        call_id=call.record.call_id,
        call_sid=call.record.call_sid or "",
        token=call.token,
        expires_seconds=call.seconds,
        media_path=request.url_for("softphone_stream").path,
    )


@router.post(
    "/watch",
    status_code=201,
    summary="Let a simulated callee hold a call",
    dependencies=[KEY_REQUIRED],
    responses=responses(401, 413, 422, 429, 500, 502),
)
async def watch(body: WatchRequest, request: Request) -> PlacedAnswer:
    agent = agent_of(request)
    spec = body.spec("", agent.planner.example_action(body.scenario))
    record = await agent.browser_calls.watch(spec, body.callee)
    return PlacedAnswer.of(record, agent.planner.opening_preview(record))


@router.post(
    "/speech",
    summary="Speak a typed line as the callee",
    dependencies=[KEY_REQUIRED],
    responses=responses(401, 413, 422, 500),
)
async def speak(body: SpeechRequest, request: Request) -> SpeechAnswer:
    speech = await agent_of(request).browser_calls.speech(body.text)
    return SpeechAnswer(
        audio=base64.b64encode(pcm_to_mulaw(speech.pcm)).decode(),
        text=" ".join(word.text for word in speech.words),
        words=[[word.start_ms, word.end_ms] for word in speech.words],
    )


@router.websocket("/media-stream", name="softphone_stream")
async def softphone_stream(websocket: WebSocket) -> None:
    """A browser's media stream. Beside the token it needs what the call was asked for with: session, or key."""
    socket = StarletteSocket(websocket)
    async with closed_at_end(socket, "a browser's media socket"):
        agent = agent_of(websocket)
        try:
            check(websocket, *given_keys(websocket))
        except UnauthorizedError as e:
            await socket.close(UNAUTHORIZED_CLOSE, e.message[:120])
            return
        await agent.media_streams.receive(socket, carrier_request(websocket), None, bound_to(websocket))
