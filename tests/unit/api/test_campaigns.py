"""Campaigns over HTTP: JSON, forms and bare CSV in; progress, bad rows and results out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from bot.api import router
from bot.api.campaign_bodies import UPLOAD_BODY
from bot.api.upload import MAX_UPLOAD_BYTES
from bot.calls.campaigns import Campaigns
from bot.calls.queues import DialQueue
from bot.conversation.scenario.scenario import Scenario
from bot.records import AnsweredBy, CallRecord, EndedReason, Outcome, Status
from bot.settings import Settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.campaigns import SqlCampaignStore
from bot.store.durable.engine import DurableEngine
from tests.unit.api.fake_agent import FakeAgent
from tests.unit.calls.campaigns.campaigns import planner_of

SCENARIO = Scenario.model_validate(
    {
        "compliance": {"profile": "none"},
        "name": "appointment_confirmation",
        "description": "A test.",
        "instructions": "Confirm.",
        "outcome": [
            {"name": "confirmed", "type": "boolean", "description": "Whether."},
            {"name": "status", "type": "string", "description": "How it stands."},
        ],
    }
)
A, B, C = "+12025550123", "+12025550199", "+442071838750"
TABLE = (
    f"phone_number,callee_name,date\n{A},Zoë,Thursday\n{B},Ann,Friday\nnonsense,X,Monday\n{A},Zoë,Sunday\n{C},,\n"
)
URL = "/api/phone/campaigns"


class Engine:
    """No engine: what would be dialled is placed by the test."""

    def __init__(self) -> None:
        self.rounds: list[str] = []

    def workflow(self, *_: Any) -> None: ...
    def queue(self, *_: Any, **__: Any) -> None: ...
    def schedule(self, *_: Any) -> None: ...

    async def enqueue(
        self,
        workflow: str,
        *args: Any,
        id: str,  # noqa: A002  # the engine's word
        queue: str,
        partition: str | None = None,
        delay_seconds: float = 0.0,
    ) -> bool:
        assert (workflow, queue, partition) == ("campaign_round", "campaigns", args[0])
        self.rounds.append(args[0])
        return True


class Agent(FakeAgent):
    """The fake agent with a real store behind its campaigns."""

    def prepare(self, folder: Path) -> None:
        self.database = Database(SqliteAddress(folder / "calls.db"))
        self.calls = SqlCallStore(self.database)
        self.kept = SqlCampaignStore(self.database)
        self.engine = Engine()

        self.campaigns = Campaigns(
            engine=cast(DurableEngine, self.engine),
            store=self.kept,
            planner=planner_of(SCENARIO),
            queue=cast(DialQueue, self),
        )

    async def place(self, record: CallRecord) -> None:  # type: ignore[override]
        await self.calls.add(record)

    @property
    def after_calls(self) -> Agent:
        return self

    async def still_due(self, _call_ids: Collection[str]) -> Collection[str]:
        return ()


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    agent = Agent(Settings(_env_file=None, data_dir=tmp_path, api_keys=()))
    agent.prepare(tmp_path)
    return agent


@pytest.fixture
def client(agent: Agent) -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await agent.database.open()
        app.state.phone_agent = agent
        yield
        await agent.database.close()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def as_form(client: TestClient, fields: dict[str, str], data: str = TABLE, **headers: str) -> Any:
    files = {"file": ("contacts.csv", data.encode(), "text/csv")}
    return client.post(URL, data=fields, files=files, headers=headers)


def test_a_form_with_a_table_is_a_campaign_and_every_bad_row_is_told(client: TestClient, agent: Agent) -> None:
    answer = as_form(client, {"action": "Confirm {{date|your visit}}", "concurrency": "3"})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"{URL}/{body['campaign_id']}"
    assert (body["status"], body["accepted"], body["rejected"], body["concurrency"]) == ("running", 3, 2, 3)
    assert body["variables"] == ["callee_name", "date"]
    assert [(row["line"], row["code"]) for row in body["bad_rows"]] == [(4, "bad_phone_number"), (5, "duplicate")]
    assert body["bad_rows"][1]["message"] == "phone_number: the number stands on line 2 already"
    assert body["bad_rows"][1]["text"] == f"{A},Zoë,Sunday"
    assert (body["progress"]["queued"], body["progress"]["done"]) == (3, 0)
    assert agent.engine.rounds == [body["campaign_id"]]


def test_the_documented_example_is_a_campaign(client: TestClient) -> None:
    example = UPLOAD_BODY["requestBody"]["content"]["application/json"]["example"]
    now = datetime.now(UTC)
    times = {"start_at": now.isoformat(), "end_at": (now + timedelta(days=30)).isoformat()}
    answer = client.post(URL, json=example | times)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 0)


def test_json_is_a_campaign(client: TestClient) -> None:
    end = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    request = {
        "name": "Reminders",
        "contacts": [
            {"phone_number": A, "date": "Thursday"},
            {"phone_number": B, "variables": {"date": "Friday"}},
            {"phone_number": C},
        ],
        "task": "Confirm {{date}}",
        "context": {"note": "for {{date}}", "n": 5},
        "end_at": end,
        "hours": {"start": "09:00", "end": "19:00", "days": ["mon", "fri"]},
        "retry": {"attempts": 3, "delay_seconds": 60, "on": ["busy", "no-answer"]},
        "metadata": {"crm": 1},
    }
    answer = client.post(URL, json=request)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    (bad,) = body["bad_rows"]
    assert bad | {"text": json.loads(bad["text"])} == (
        {
            "line": 3,
            "code": "missing_variable",
            "field": "date",
            "message": "date: is empty or missing",
            "text": {"phone_number": C},
        }
    )
    assert body["retry"] == {"attempts": 3, "delay_seconds": 60.0, "backoff": 1.0, "on": ["busy", "no_answer"]}
    assert body["hours"]["days"] == ["mon", "fri"]
    assert body["end_at"].endswith("Z")
    assert body["action"] == "Confirm {{date}}"


def test_bare_csv_takes_its_policy_from_the_query(client: TestClient) -> None:
    answer = client.post(
        URL,
        params={"action": "Confirm", "retry": '{"attempts": 2}'},
        content=TABLE.encode(),
        headers={"content-type": "text/csv; charset=utf-8"},
    )
    assert answer.status_code == 201, answer.text
    assert (answer.json()["accepted"], answer.json()["retry"]["attempts"]) == (3, 2)


def test_the_policy_may_stand_together(client: TestClient) -> None:
    answer = as_form(client, {"policy": '{"concurrency": 7, "retry": {"attempts": 2}}', "action": "Confirm"})
    assert (answer.status_code, answer.json()["concurrency"]) == (201, 7)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({}, "action", "is required"),
        ({"action": "x {{when}}"}, "when", "no column has that name"),
        ({"action": "Confirm {date"}, "action", "is not closed at '{date'"),
        ({"action": "x", "concurrency": "0"}, "concurrency", "at least 1"),
        ({"action": "x", "fone": "1"}, "fone", "not a field"),
        ({"action": "x", "scenario": "nope"}, "scenario", "no scenario 'nope'"),
        ({"action": "x", "retry": "often"}, "retry", "JSON object"),
        ({"action": "x", "retry": '{"attempts": 99}'}, "retry.attempts", "at most 10"),
        ({"action": "x", "hours": '{"start": "9"}'}, "hours.start", "time of day"),
        ({"action": "x", "time_zone": "Moon"}, "time_zone", "no IANA time zone"),
        ({"action": "x", "end_at": "2020-01-01T00:00:00Z"}, None, "end_at has passed"),
        ({"action": "x", "start_at": "2026-01-01T00:00:00"}, "start_at", "needs its zone"),
        ({"action": "x", "country": "USA"}, "country", "two letters"),
        ({"action": "x", "policy": "[]"}, "policy", "object"),
        ({"action": "x", "policy": '{"action": "y"}'}, "action", "twice"),
    ],
)
def test_what_the_caller_can_mend_is_named_and_nothing_kept(
    client: TestClient, fields: dict[str, str], field: str | None, words: str
) -> None:
    answer = as_form(client, fields)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error.get("field") == field
    assert words in error["message"]
    assert client.get(URL).json()["campaigns"] == []


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"", "application/json", "invalid_json"),
        (b'{"action": "x"}', "application/json", "missing_field"),
        (b'{"action": "x", "contacts": []}', "application/json", "no_contacts"),
        (b"", "text/csv", "no_header"),
        (b"a,b\n", "text/csv", "no_phone_number_column"),
        (b"x", "application/x-www-form-urlencoded", "unsupported_body"),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b", "invalid_form"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", "missing_field"),
    ],
)
def test_bodies_that_are_none(client: TestClient, content: bytes, kind: str, code: str) -> None:
    answer = client.post(URL, params={"action": "x"}, content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code), answer.text


def test_where_nobody_can_be_called_the_rows_are_told_and_nothing_is_kept(client: TestClient) -> None:
    answer = as_form(client, {"action": "x"}, "phone_number\n2025550123\n0044 20 7183 8750\n")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "no_contacts"
    assert [row["line"] for row in answer.json()["bad_rows"]] == [2, 3]
    assert "no + and country code" in answer.json()["error"]["message"]
    assert client.get(URL).json()["campaigns"] == []
    assert as_form(client, {"action": "x", "country": "us"}, "phone_number\n2025550123\n").status_code == 201


def test_an_unknown_field_is_told_which_was_meant(client: TestClient) -> None:
    body = {"contacts": [{"phone_number": A}], "action": "Ask", "concurency": 2}
    error = client.post(URL, json=body).json()["error"]
    assert error["message"] == "concurency: is not a field of this request; did you mean 'concurrency'?"
    assert error["field"] == "concurency"


def test_a_body_beyond_the_limit_is_413(client: TestClient) -> None:
    headers = {"content-type": "text/csv", "content-length": str(MAX_UPLOAD_BYTES + 1)}
    answer = client.post(URL, content=b"phone_number\n", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_an_idempotency_key_makes_one_campaign(client: TestClient) -> None:
    key = {"Idempotency-Key": "k1"}
    first = as_form(client, {"action": "x"}, **key)
    again = as_form(client, {"action": "x"}, **key)
    assert (again.status_code, again.json()["campaign_id"]) == (201, first.json()["campaign_id"])
    assert again.json()["bad_rows"] == first.json()["bad_rows"]
    assert as_form(client, {"action": "y"}, **key).json()["error"]["code"] == "idempotency_key_reused"
    assert as_form(client, {"action": "x"}, TABLE + "\n", **key).status_code == 409
    assert len(client.get(URL).json()["campaigns"]) == 1


def test_bad_rows_are_read_page_by_page(client: TestClient) -> None:
    rows = "".join(f"bad {index},x\n" for index in range(250))
    created = as_form(client, {"action": "x"}, f"phone_number,callee_name\n{A},y\n{rows}").json()
    assert (created["accepted"], created["rejected"], len(created["bad_rows"])) == (1, 250, 100)
    lines: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{URL}/{created['campaign_id']}/bad-rows", params=params).json()
        lines += [row["line"] for row in page["bad_rows"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert lines == list(range(3, 253))
    wrong = client.get(f"{URL}/{created['campaign_id']}/bad-rows", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "bad_cursor")


def test_pause_resume_cancel(client: TestClient) -> None:
    path = f"{URL}/{as_form(client, {'action': 'x'}).json()['campaign_id']}"
    paused = client.post(f"{path}/pause").json()
    assert (paused["status"], paused["why"]) == ("paused", "paused by request")
    assert client.post(f"{path}/pause").status_code == 200, "as it is already"
    assert client.post(f"{path}/resume").json()["status"] == "running"
    canceled = client.post(f"{path}/cancel").json()
    assert canceled["status"] == "canceled"
    assert (canceled["progress"]["queued"], canceled["progress"]["left"]) == (0, canceled["accepted"])
    assert canceled["accepted"] > 0
    refused = client.post(f"{path}/resume")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "campaign_canceled")
    for way in ("", "/results", "/bad-rows"):
        assert client.get(f"{URL}/campaign_none{way}").status_code == 404
    assert client.post(f"{URL}/campaign_none/pause").status_code == 404


def test_a_campaign_that_begins_later_says_so_at_once(client: TestClient) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    created = as_form(client, {"action": "x", "start_at": later}).json()
    assert (created["status"], created["why"]) == ("running", "waits for its start")
    assert client.get(f"{URL}/{created['campaign_id']}").json()["why"] == "waits for its start"
    assert as_form(client, {"action": "x"}).json()["why"] is None


def test_action_and_task_are_one_field(client: TestClient) -> None:
    error = as_form(client, {"action": "x", "task": "y"}).json()["error"]
    assert (error["field"], error["code"]) == ("task", "invalid_field")
    assert "give action or task" in error["message"]


def test_campaigns_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    ids = [as_form(client, {"action": "x", "name": str(index)}).json()["campaign_id"] for index in range(3)]
    first = client.get(URL, params={"limit": 2}).json()
    assert [campaign["campaign_id"] for campaign in first["campaigns"]] == [ids[2], ids[1]]
    second = client.get(URL, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [campaign["campaign_id"] for campaign in second["campaigns"]] == [ids[0]]
    assert second["next_cursor"] is None
    client.post(f"{URL}/{ids[0]}/pause")
    paused = client.get(URL, params={"status": "paused"}).json()["campaigns"]
    assert [campaign["campaign_id"] for campaign in paused] == [ids[0]]


def finished(client: TestClient, agent: Agent, table: str, outcome: Outcome) -> str:
    """A campaign whose first contact was called and reached."""
    campaign_id: str = as_form(client, {"action": "x"}, table).json()["campaign_id"]

    async def call() -> None:
        await agent.campaigns._work(campaign_id)
        (result, *_) = await agent.campaigns.store.results(campaign_id, after=-1, limit=1)
        assert result.call is not None
        change = CallChange(
            ended_reason=EndedReason.AGENT_HANGUP,
            duration_seconds=12.5,
            answered_by=AnsweredBy.PERSON,
            outcome=outcome,
        )
        call_id = result.call.call_id
        await agent.calls.advance(call_id, Status.COMPLETED, at=datetime.now(UTC), change=change)
        record = await agent.calls.get(call_id)
        assert record is not None
        await agent.campaigns.contact_done(record)

    assert client.portal is not None
    client.portal.call(call)
    return campaign_id


OUTCOME = Outcome(True, "=cmd|' /C calc'!A0", {"confirmed": True, "status": '@now, "ok"\nyes'})


def test_results_as_json(client: TestClient, agent: Agent) -> None:
    campaign_id = finished(client, agent, TABLE, OUTCOME)
    page = client.get(f"{URL}/{campaign_id}/results", params={"limit": 2}).json()
    first, second = page["results"]
    assert (first["phone_number"], first["line"], first["state"], first["attempts"]) == (A, 2, "done", 1)
    assert first["variables"] == {"callee_name": "Zoë", "date": "Thursday"}
    assert (first["status"], first["ended_reason"], first["answered_by"]) == (
        "completed",
        "agent_hangup",
        "person",
    )
    assert first["outcome"]["fields"] == OUTCOME.fields
    assert second["state"] == "calling"
    rest = client.get(f"{URL}/{campaign_id}/results", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [result["phone_number"] for result in rest["results"]] == [C]
    assert rest["next_cursor"] is None
    progress = client.get(f"{URL}/{campaign_id}").json()["progress"]
    assert (progress["done"], progress["reached_goal"], progress["dialling"]) == (1, 1, 2)
    assert progress["done_by_ended_reason"] == {"agent_hangup": 1}


@pytest.mark.parametrize("way", ["query", "header"])
def test_results_as_a_table_no_spreadsheet_computes(client: TestClient, agent: Agent, way: str) -> None:
    data = f"phone_number,=1+1,status,balance\n{A},@SUM(A1),x,-5.50\n{B},+1-1,y,\n"
    campaign_id = finished(client, agent, data, OUTCOME)
    answer = client.get(
        f"{URL}/{campaign_id}/results",
        params={"format": "csv"} if way == "query" else {},
        headers={"accept": "text/csv"} if way == "header" else {},
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{campaign_id}.csv"' in answer.headers["content-disposition"]
    names, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""))
    assert names[:5] == ["line", "phone_number", "'=1+1", "variable_status", "balance"]
    assert names[-2:] == ["confirmed", "outcome_status"]
    first, second = (dict(zip(names, row, strict=True)) for row in rows)
    assert (first["phone_number"], first["'=1+1"], first["balance"]) == (A, "'@SUM(A1)", "-5.50")
    assert (first["summary"], first["outcome_status"]) == ("'=cmd|' /C calc'!A0", '\'@now, "ok"\nyes')
    assert (first["reached_goal"], first["confirmed"], first["duration_seconds"]) == ("true", "true", "12.5")
    assert (first["state"], first["ended_reason"]) == ("done", "agent_hangup")
    assert (second["'=1+1"], second["summary"], second["state"]) == ("'+1-1", "", "calling")


def test_the_table_has_what_tools_noted(client: TestClient, agent: Agent) -> None:
    messages = [{"message": "Bring the papers", "name": "Ann"}]
    outcome = Outcome(True, "s", {"confirmed": True, "messages": messages, "callback": "=Friday"})
    campaign_id = finished(client, agent, f"phone_number,messages\n{A},mine\n", outcome)
    answer = client.get(f"{URL}/{campaign_id}/results", params={"format": "csv"})
    (only,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""))
    assert json.loads(only["messages"]) == messages
    assert (only["callback"], only["do_not_call"], only["variable_messages"]) == ("'=Friday", "", "mine")


def test_a_key_is_asked_for(agent: Agent, client: TestClient) -> None:
    agent.settings = Settings(_env_file=None, api_keys=("secret",))
    assert as_form(client, {"action": "x"}).status_code == 401
    assert client.get(URL).status_code == 401
    assert as_form(client, {"action": "x"}, Authorization="Bearer secret").status_code == 201


def test_the_upload_is_in_the_api_s_description(client: TestClient) -> None:
    post = client.get("/openapi.json").json()["paths"][URL]["post"]
    content = post["requestBody"]["content"]
    assert sorted(content) == ["application/json", "multipart/form-data", "text/csv"]
    assert "concurrency" in content["multipart/form-data"]["schema"]["properties"]


def test_a_dry_run_shows_the_rows_and_keeps_nothing(client: TestClient) -> None:
    table = f"Telefon;Name\n{A};Zoë\n{B};Ann\n12;Bob\n".encode("cp1252")
    query = {"action": "Confirm your visit, {{name}}", "dry_run": "true", "callee_name": "{{name}}"}
    answer = client.post(URL, params=query, content=table, headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text
    tried = answer.json()
    assert (tried["accepted"], tried["rejected"], tried["dry_run"]) == (2, 1, True)
    assert tried["file"] == {
        "encoding": "windows-1252",
        "other_encodings": ["windows-1257"],
        "separator": ";",
        "phone_number_column": "telefon",
    }
    first, second = tried["first"]
    assert (first["phone_number"], first["callee_name"], first["action"]) == (A, "Zoë", "Confirm your visit, Zoë")
    assert second["opening"] is None, "the model writes it"
    assert second["local_times"]
    assert [bad["line"] for bad in tried["bad_rows"]] == [4]
    assert client.get(URL).json()["campaigns"] == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_contacts_in_json_may_call_the_number_as_a_column_may_be_called(
    client: TestClient, dry_run: bool
) -> None:
    contacts = [{"Teléfono": A, "name": "Zoë"}, {"phone": B}, {"phone_number": "+12025550142"}]
    both = {"phone": "+12025550155", "mobile": "+12025550156"}
    answer = client.post(URL, json={"action": "Ask", "dry_run": dry_run, "contacts": [*contacts, both]}).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 1)
    assert answer["file"]["encoding"] == "utf-8"
    assert answer["file"]["separator"] is None
    assert answer["file"]["phone_number_column"] == "Teléfono, phone, phone_number"
    [bad] = answer["bad_rows"]
    assert (bad["line"], "phone and mobile" in bad["message"]) == (4, True)


def test_an_upload_says_whose_calls_it_overlaps(client: TestClient) -> None:
    def upload(*numbers: str) -> Any:
        body = {"action": "Ask", "contacts": [{"phone_number": number} for number in numbers]}
        return client.post(URL, json=body).json()

    first = upload(A)
    second = upload(A, B)
    assert (first["overlaps"], second["overlaps"]) == ([], [{"campaign_id": first["campaign_id"], "contacts": 1}])


def test_the_table_may_have_the_separator_that_excel_wants(client: TestClient) -> None:
    created = client.post(URL, json={"action": "Ask", "contacts": [{"phone_number": A}]}).json()
    path = f"{URL}/{created['campaign_id']}/results"
    answer = client.get(path, params={"format": "csv", "separator": "semicolon"})
    assert answer.content.startswith("\ufeffline;phone_number;".encode())
