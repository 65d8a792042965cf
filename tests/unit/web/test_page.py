"""Who may see the pages, and what every page carries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from bot.calls.access import SIGN_IN_TRIES, SignInLimit
from bot.web import sign_in
from bot.web.routes import PARTS
from tests.unit.web.conftest import Pages, open_pages

OPEN = {"/sign-in", "/sign-out", "/docs", "/redoc"}
ROUTES = [route for part in PARTS for route in part.router.routes if isinstance(route, APIRoute)]
LOCKED = [re.sub(r"\{.*?\}", "1", route.path) for route in ROUTES if route.path not in OPEN]
"""Every page but OPEN."""


@pytest.fixture(autouse=True)
def _no_wrong_keys_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "LIMIT", SignInLimit())


async def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(pages: Pages) -> None:
    answer = await pages.http.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "://" not in answer.text.replace("http://www.w3.org", "")
    assert "style=" not in answer.text
    assert "onclick" not in answer.text


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("203.0.113.9", {}),
        ("127.0.0.1", {"Host": "evil.example:8000"}),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}),
    ],
)
async def test_without_keys_only_this_machine(tmp_path: Path, client: str, headers: dict[str, str]) -> None:
    async with open_pages(tmp_path, client=client) as pages:
        answer = await pages.http.get("/", headers=headers)
        assert answer.status_code == 403
        assert "API_KEYS" in answer.text


@pytest.mark.parametrize("path", LOCKED)
async def test_with_keys_a_page_leads_to_signing_in(tmp_path: Path, path: str) -> None:
    async with open_pages(tmp_path, "one") as pages:
        answer = await pages.http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")
        part = await pages.http.get(path, headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-refresh"]) == (401, "true")


async def test_a_session_opens_pages_and_api(tmp_path: Path) -> None:
    async with open_pages(tmp_path, "one", "two") as pages:
        answer = await pages.http.post("/sign-in", data={"key": " two ", "next": "/calls/call_9"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/calls/call_9")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie, "plain HTTP: the browser would drop it"
        assert (await pages.http.get("/")).status_code == 200
        assert (await pages.http.get("/api/phone/calls")).status_code == 200
        refused = await pages.http.post("/api/phone/calls/call_9/hangup")
        assert (refused.status_code, "X-CSRF-Token" in refused.text) == (401, True)
        page = (await pages.http.get("/")).text
        token = page.partition('name="csrf" content="')[2].partition('"')[0]
        headers = {"X-CSRF-Token": token, "Origin": "http://127.0.0.1:8000"}
        assert (
            await pages.http.delete("/api/phone/do-not-call/+12025550123", headers=headers)
        ).status_code != 401


async def test_a_cookie_is_secure_behind_tls(tmp_path: Path) -> None:
    async with open_pages(tmp_path, "one", public_host="https://127.0.0.1") as pages:
        answer = await pages.http.post("/sign-in", data={"key": "one"})
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "x"])
async def test_signing_in_leads_nowhere_else(tmp_path: Path, target: str) -> None:
    async with open_pages(tmp_path, "one") as pages:
        answer = await pages.http.post("/sign-in", data={"key": "one", "next": target})
        assert answer.headers["location"] == "/"


async def test_keys_cannot_be_tried_for_ever(tmp_path: Path) -> None:
    async with open_pages(tmp_path, "one") as pages:
        for _ in range(SIGN_IN_TRIES):
            answer = await pages.http.post("/sign-in", data={"key": "guess"})
            assert answer.status_code == 403
            assert "guess" not in answer.text
        answer = await pages.http.post("/sign-in", data={"key": "one"})
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)


async def test_another_sites_form_does_not_sign_in(tmp_path: Path) -> None:
    async with open_pages(tmp_path, "one") as pages:
        answer = await pages.http.post(
            "/sign-in", data={"key": "one"}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_another_sites_page_cannot_act_where_there_are_no_keys(pages: Pages) -> None:
    for origin in ("https://evil.example", "null", "http://evil.example:8000"):
        answer = await pages.http.post("/api/phone/calls/call_9/hangup", headers={"Origin": origin})
        assert answer.status_code == 401


async def test_what_is_not_there_is_said_in_words(pages: Pages) -> None:
    answer = await pages.http.get("/calls/call_9")
    assert (answer.status_code, "There is no call" in answer.text) == (404, True)
    assert (await pages.http.get("/?day=junk")).status_code == 422
    assert (await pages.http.get("/?cursor=junk")).status_code == 422


async def test_a_page_is_light(pages: Pages) -> None:
    """What a browser fetches for the pages of our own, unpacked."""
    page = (await pages.http.get("/")).text
    weight = len(page)
    for name in ("app.css", "app.js", "call.js", "vendor/htmx.min.js", "vendor/wavesurfer.min.js"):
        answer = await pages.http.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
        weight += len(answer.content)
    assert weight < 300_000
