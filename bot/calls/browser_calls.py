"""Calls that ring no phone: a person at a browser holds them, or watches a simulated callee.

Of a person at a browser nothing is dialled: the call is answered as soon as it is asked for, and the browser
opens the media stream itself. It has a line, a record and events like any other, and no retries; its opening is
made until the stream opens. A simulated callee is dialled like any other, on the network of this process.
"""

from dataclasses import dataclass, field, replace

from bot.audio import Speech
from bot.calls.capacity import LineRequest
from bot.calls.carrier_events import CarrierEvents
from bot.calls.carriers import callee_choices
from bot.calls.dialling.dialler import Dialler
from bot.calls.idempotency import UNASKED
from bot.calls.ingress import Ingress
from bot.calls.placing import Placing
from bot.calls.planner import callee_brief
from bot.calls.process import Process
from bot.errors import BusyError, RequestError
from bot.phone_numbers import BROWSER, CLIENT
from bot.pipeline.offline.voice import CALLEE_PITCH
from bot.policy import HoursTerms, RetryTerms, Terms
from bot.records import CallRecord, CallSpec, Direction
from bot.store import CallChange
from bot.telephony.browser.carrier import WithClients

NOBODY_LISTENS = (
    "This server has nothing to recognise speech with: set DEEPGRAM_API_KEY, run `uv sync --extra moonshine`, or "
    "give the words beside the sound (words: given)."
)


@dataclass(frozen=True)
class BrowserCall:
    """A call that waits for its browser. `token`: its media stream's, once, within `seconds`."""

    record: CallRecord
    token: str = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class BrowserCalls:
    """One process's."""

    process: Process
    ingress: Ingress
    dialler: Dialler
    carrier_events: CarrierEvents
    placing: Placing
    clients: WithClients

    def hears(self, scenario: str) -> str | None:
        """What recognises a browser's speech in a call of this scenario; None: nothing does."""
        vendor = self.process.planner.slots(scenario, BROWSER).stt.vendor
        return None if vendor == "pocketsphinx" else vendor  # knows a few words, and no conversation

    async def begin(self, spec: CallSpec, bound: str) -> BrowserCall:
        """A call; one that comes in, where its scenario takes such. `bound`: see `Ingress.browser_token`.

        RequestError; BusyError where no line is free.
        """
        process = self.process
        planner, store, active_calls = process.planner, process.store, process.active_calls
        record = planner.record(spec, self._direction(spec))
        if spec.phone_number == BROWSER and self.hears(spec.scenario) is None:
            raise RequestError(NOBODY_LISTENS, code="no_recogniser", field="words")
        if process.settings.max_lines is not None and await store.lines_taken() >= process.settings.max_lines:
            raise BusyError("All lines are in use; ask again.", retry_after_seconds=10)
        plan, call_sid = planner.plan(record), self.clients.new_sid()
        record = replace(record, call_sid=call_sid, vendors=planner.vendors(plan))
        slot = active_calls.take_line(plan, LineRequest.NEW)
        seconds = self.carrier_events.keep_line(record, slot, call_sid)
        try:
            await store.add(record)
            await self.dialler.follow(record.call_id)
            await self.carrier_events.connecting(slot, CallChange())
            token = await self.ingress.browser_token(record.call_id, seconds, bound)
        except BaseException:
            await active_calls.release(record.call_id)
            raise
        return BrowserCall(record, token, seconds)

    async def watch(self, spec: CallSpec, callee: str | None) -> CallRecord:
        """A call with the simulated callee of that name, dialled or coming in. RequestError, BusyError.

        None: the one who fits the scenario.
        """
        if callee is not None and callee not in self.callees():
            message = f"There is no callee {callee!r}; there are: {', '.join(self.callees())}."
            raise RequestError(message, code="no_such_callee", field="callee")
        planner, call_id = self.process.planner, UNASKED.id_of("call")
        # One number a call: two people may watch the same callee at once.
        spec = replace(spec, phone_number=f"{CLIENT}{callee or spec.scenario}.{call_id[-8:]}")
        terms = Terms(retry=RetryTerms(), hours=HoursTerms(), wait=False, simulated_callee=callee)
        if self._direction(spec) is Direction.OUTBOUND:
            return await self.placing.place(spec, terms)
        record = planner.record(spec, Direction.INBOUND, terms, call_id=call_id)
        record = replace(record, vendors=planner.vendors(planner.plan(record)))
        await self.process.store.add(record)
        await self.clients.callees.call_in(
            origin=await self.ingress.origin(phones=False),
            to=spec.from_number or "",
            from_number=spec.phone_number,
            scenario=spec.scenario,
            brief=callee_brief(planner.scenarios.get(spec.scenario), callee),
            call_id=record.call_id,
        )
        return record

    def callees(self) -> dict[str, str]:
        """The simulated callees, each with a sentence on what they do."""
        return callee_choices()

    async def speech(self, text: str) -> Speech:
        """`text` in the local callee's voice, for a browser whose person types."""
        return await self.process.active_calls.resources.voice.speak(text, pitch=CALLEE_PITCH)

    def _direction(self, spec: CallSpec) -> Direction:
        return Direction(self.process.planner.scenarios.get(spec.scenario).direction)
