"""From a wish to a call: its record, the plan of how it is held, the order to dial it."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot import languages
from bot.calls.idempotency import UNASKED
from bot.conversation.call_plan import Plan, Slots, choose
from bot.conversation.kept import kept
from bot.conversation.prompt import opening_text
from bot.conversation.scenario.compliance import storage_of
from bot.conversation.scenario.parts import Limits
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.errors import RequestError, did_you_mean
from bot.json_schema import Schema, checked
from bot.phone_numbers import TYPED, is_browser, is_client
from bot.pipeline.offline.moonshine_stt import moonshine_installed
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.pipeline.stt.vendors import Moonshine
from bot.policy import DEFAULT_TERMS, CallPurpose, HoursTerms, RetryTerms, Terms
from bot.records import CallRecord, CallSpec, Direction, Status
from bot.settings import Settings
from bot.telephony.carrier import NO_BRIEF, AskedField, CalleeBrief, DialOrder

CONSENT_MISSING = (
    "This is a marketing call, which needs the callee's consent: give consent {kind, at, source}, "
    "or purpose service if it is none."
)
KEPT_PLANS = 1024
"""Of calls under way; a plan that was dropped is made again when it is needed."""

_Asked = tuple[CallSpec, Schema | None]


@dataclass
class Planner:
    """One process's: pure but for the clock and the ids."""

    scenarios: Scenarios
    settings: Settings
    environment: Mapping[str, str]
    carrier: str
    """The carrier's name among a call's vendors."""
    simulated_line: bool
    callees: Sequence[str] = ()
    """Who may pick up, by name, where callees are simulated."""
    tool_rules: Callable[[], tuple[ToolRule, ...]] = tuple
    """When the local LLM calls declared tools."""
    _plans: OrderedDict[str, tuple[_Asked, Plan]] = field(default_factory=OrderedDict, init=False, repr=False)

    def record(
        self, spec: CallSpec, direction: Direction, terms: Terms = DEFAULT_TERMS, *, call_id: str | None = None
    ) -> CallRecord:
        """A call that stands at its beginning. RequestError when its scenario cannot be held here."""
        spec = replace(spec, scenario=spec.scenario or self.scenarios.default(direction))
        record = CallRecord(
            call_id=call_id or UNASKED.id_of("call"),
            spec=spec,
            direction=direction,
            status=Status.QUEUED,
            created_at=datetime.now(UTC),
            terms=terms,
            scheduled_at=terms.schedule_at,
        )
        plan = self.plan(record)
        if direction is Direction.OUTBOUND:
            self._check(plan)
        return replace(record, compliance=plan.scenario.rules)

    def _check(self, plan: Plan) -> None:
        scenario = plan.scenario
        if scenario.direction == "inbound":
            message = f"Scenario {scenario.name!r} answers calls that come in; name one that makes them."
            raise RequestError(message, code="scenario_inbound", field="scenario")
        missing = scenario.missing(self.environment)
        if missing and plan.calls_declared_tools:
            message = f"Scenario {scenario.name!r} needs {', '.join(missing)} in the environment or in .env."
            raise RequestError(message, code="scenario_incomplete", field="scenario")

    def plan(self, record: CallRecord) -> Plan:
        """How the call is held: made once in this process, until `forget`. UnknownScenarioError when its scenario
        is gone."""
        asked = (record.spec, record.terms.outcome_schema)
        known = self._plans.get(record.call_id)
        # An Idempotency-Key may come again with another request, if its first was refused.
        if known is None or known[0] != asked:
            known = self._plans[record.call_id] = (asked, self._plan(record))
            while len(self._plans) > KEPT_PLANS:
                self._plans.popitem(last=False)
        return known[1]

    def forget(self, call_id: str) -> None:
        """All that was to be done for the call is done."""
        self._plans.pop(call_id, None)

    def _plan(self, record: CallRecord) -> Plan:
        scenario, schema = self.scenarios.get(record.spec.scenario), record.terms.outcome_schema
        return Plan(
            record.call_id,
            record.spec,
            record.direction,
            scenario,
            self.slots(scenario.name, record.spec.phone_number),
            carrier=self._carrier_of(record.spec.phone_number),
            time_zone=record.terms.time_zone,
            extension=record.terms.extension,
            simulated_callee=record.terms.simulated_callee,
            tool_rules=self.tool_rules(),
            our_number=record.spec.from_number or self.settings.twilio_phone_number,
            outcome_schema=None if schema is None else checked(schema),
        )

    def example_action(self, scenario: str) -> str:
        """What a call of it may be for; nothing of one that takes calls. UnknownScenarioError."""
        found = self.scenarios.get(scenario)
        return "" if found.direction == "inbound" else found.example.action

    def opening_preview(self, record: CallRecord) -> str | None:
        """What is said first to a person; None where the model writes it, or where the scenario is gone."""
        if record.spec.scenario not in self.scenarios.names:
            return None
        return opening_text(record.spec, self.scenarios.get(record.spec.scenario))

    def limits(self, record: CallRecord) -> Limits:
        """Of its scenario; the defaults where that is gone."""
        name = record.spec.scenario
        return self.scenarios.get(name).limits if name in self.scenarios.names else Limits()

    def needs_consent(self, scenario: str, purpose: CallPurpose | None) -> bool:
        """Whether a call for this, or for what its scenario says, needs the callee's consent."""
        rules = self.scenarios.get(scenario).compliance
        return rules.consent_for_marketing and (purpose or rules.purpose) is CallPurpose.MARKETING

    def check_consent(self, record: CallRecord) -> None:
        """RequestError where it is missing."""
        terms = record.terms
        if is_client(record.spec.phone_number):
            return
        if terms.consent is None and self.needs_consent(record.spec.scenario, terms.purpose):
            raise RequestError(CONSENT_MISSING, code="consent_missing", field="consent")

    def check_callee(self, name: str | None) -> None:
        """RequestError for a simulated callee who is not there, or where a real phone would ring."""
        if name is None or name in self.callees:
            return
        if not self.simulated_line:
            message = f"This server dials real phones with {self.carrier}: leave simulated_callee out."
        else:
            near = did_you_mean(name, self.callees)
            message = f"There is no callee {name!r}{near}; there are: {', '.join(self.callees)}."
        raise RequestError(message, code="no_such_callee", field="simulated_callee")

    def max_per_subject(self, scenario: str, number: str = "") -> int | None:
        """Calls a day to one number about this; a profile's hold no more than its hours on the simulated line."""
        if scenario not in self.scenarios.names:
            return None
        found = self.scenarios.get(scenario)
        if self._rings_nobody(number) and "compliance.max_per_day_and_subject" not in found.rules.changed:
            return None
        return found.compliance.max_per_day_and_subject or None

    def hours(self, scenario: str, asked: HoursTerms | None, number: str = "") -> HoursTerms:
        """When a callee may be called: as `asked`, or as the scenario says.

        A profile's hours guard people's sleep: on the simulated line, where no phone rings, only those that a
        request or a file names itself hold.
        """
        if asked is not None or scenario not in self.scenarios.names:
            return asked or HoursTerms()
        found = self.scenarios.get(scenario)
        return HoursTerms() if self._rings_nobody(number) and not found.has_own_hours else found.hours.terms

    def kept(self, record: CallRecord) -> CallRecord:
        """What stays of the call, once it is over."""
        name = record.spec.scenario
        language = self.scenarios.get(name).language if name in self.scenarios.names else "en"
        return kept(record, storage_of(record.compliance), languages.of(language))

    def shown(self, record: CallRecord) -> CallRecord:
        """As it may be looked at: of a call that is over, what stays of it, also before the rest is dropped."""
        return self.kept(record) if record.status.final else record

    def retry_of(self, record: CallRecord) -> RetryTerms | None:
        """The request's policy, or else its scenario's; None where that is gone."""
        if record.terms.retry is not None or record.spec.scenario not in self.scenarios.names:
            return record.terms.retry
        return self.scenarios.get(record.spec.scenario).retry.terms

    def slots(self, scenario: str, number: str = "") -> Slots:
        """Of a call with `number`; without one, of any phone's."""
        found = self.scenarios.get(scenario)
        if is_browser(number):
            moonshine = Moonshine() if moonshine_installed() else None
            given = number == TYPED
            return choose(found, self.settings, simulated_line=False, words_given=given, local_stt=moonshine)
        return choose(found, self.settings, simulated_line=self.is_simulated(number))

    def is_simulated(self, number: str) -> bool:
        """Whether the callee is ours."""
        return self._rings_nobody(number) and not is_browser(number)

    def _rings_nobody(self, number: str) -> bool:
        """Whether no phone rings."""
        return self.simulated_line or is_client(number)

    def _carrier_of(self, number: str) -> str:
        if is_browser(number):
            return "browser"
        return "simulated" if is_client(number) else self.carrier

    def vendors(self, plan: Plan) -> dict[str, str]:
        return {"carrier": plan.carrier, **plan.slots.vendors}

    def order(self, plan: Plan, origin: str) -> DialOrder:
        limits = plan.scenario.limits
        return DialOrder(
            to=plan.spec.phone_number,
            from_number=plan.spec.from_number,
            origin=origin,
            ring_seconds=limits.ring_seconds,
            time_limit_seconds=round(limits.max_duration_seconds) + 60,
            scenario=plan.scenario.name,
            call_id=plan.call_id,
            # What answers before an extension is a menu, and no news of who is behind it.
            detect=plan.scenario.pickup.amd and plan.extension is None,
            brief=callee_brief(plan.scenario, plan.simulated_callee)
            if self.is_simulated(plan.spec.phone_number)
            else NO_BRIEF,
        )


def callee_brief(scenario: Scenario, callee: str | None = None) -> CalleeBrief:
    """What a simulated callee knows of a call in this scenario."""
    fields = tuple(
        AskedField(field.name, field.type, field.description, field.question, field.options)
        for field in scenario.outcome
    )
    return CalleeBrief(scenario.language, fields, callee, calls_in=scenario.direction == "inbound")
