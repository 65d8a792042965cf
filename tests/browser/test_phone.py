"""The softphone in a real browser: calls held by typing and by speaking, the agent's sound checked."""

from __future__ import annotations

import base64
import math
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from playwright.async_api import Page, expect
from pydantic import SecretStr

from bot.audio import SAMPLE_RATE, Speech, mulaw_to_pcm
from bot.pipeline.offline.voice import CALLEE_PITCH
from tests.browser.browser import Problems, context, faults, needs_browser, open_browser
from tests.browser.test_pages import SHOTS
from tests.calls.server import running_server, shared_voice
from tests.simulators.deepgram import DeepgramSimulator
from tests.simulators.stt_recogniser import ScriptedRecogniser

pytestmark = needs_browser
SLOW_MS = 30_000
"""For what the page waits for, on a machine that does other things."""
Samples = npt.NDArray[np.float64]

RECORD = """
  window.line = { frames: [], cleared: [] };
  document.addEventListener("phone:frame", ({ detail: { heard, level, at } }) =>
    line.frames.push([btoa(String.fromCharCode(...heard)), level, at]));
  document.addEventListener("phone:cleared", ({ detail }) => line.cleared.push(detail.at));
"""
"""In the page: what was played every 20 ms and how loud the microphone was, on the audio's own clock."""


async def say(page: Page, text: str) -> None:
    await page.get_by_label("What you say").fill(text)
    await page.keyboard.press("Enter")


async def said_by_agent(page: Page, turns: int) -> None:
    """Once the agent has ended so many turns."""
    await expect(page.locator("#turns .agent[data-complete]").nth(turns - 1)).to_be_visible(timeout=SLOW_MS)


async def id_of(page: Page) -> str:
    call_id = await page.locator("#panel").get_attribute("data-call-id")
    assert call_id is not None
    return call_id


async def test_a_typed_call_reaches_its_goal(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, open_browser() as browser:
        page = await (await context(browser)).new_page()
        problems = Problems(page)
        await page.goto(server.url + "/phone")
        await page.get_by_label("Type, and a local voice speaks").check()
        await page.get_by_role("button", name="Let the agent call me").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("What you say")).to_be_focused(timeout=SLOW_MS)
        await say(page, "Hello?")
        await said_by_agent(page, 1)
        await say(page, "Yes, Thursday at two works for me.")
        await said_by_agent(page, 2)
        assert problems.said == []
        await page.screenshot(path=SHOTS / "phone-talking-desktop-light.png", full_page=True)
        assert await faults(page) == []
        if await page.get_by_role("button", name="Hang up").is_visible():
            await say(page, "No, that is all. Thank you, goodbye.")
        await expect(page.get_by_role("button", name="Another call")).to_be_visible(timeout=SLOW_MS)
        await expect(page.locator("#outcome-badge")).to_have_text("goal reached", timeout=SLOW_MS)
        call = await server.read(await id_of(page))
        assert (call["status"], call["ended_reason"], call["outcome"]["reached_goal"]) == (
            "completed",
            "agent_hangup",
            True,
        )
        assert call["vendors"]["carrier"] == "browser"
        assert await page.locator("#turns .callee .said").first.inner_text() == "Hello?"
        assert await page.locator("#turns .latency").count() >= 1, "a reply's time is shown"


# -- by voice ---------------------------------------------------------------------------------------------


def write_microphone(path: Path, said: Iterable[tuple[float, Speech]]) -> None:
    """What a microphone hears: each speech from its second on, then silence."""
    lines = list(said)
    sound = np.zeros(int((lines[-1][0] + 5) * SAMPLE_RATE), np.int16)
    for at, each in lines:
        start = int(at * SAMPLE_RATE)
        sound[start : start + len(each.pcm) // 2] = np.frombuffer(each.pcm, np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(soxr.resample(sound, SAMPLE_RATE, 48_000).tobytes())


def likeness(part: Samples, whole: Samples) -> float:
    """Of `part` to the place in `whole` that is most like it: 1 for the same sound, however loud."""
    size = len(part) + len(whole)
    products = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)[: len(whole)]
    energies = np.sqrt(np.convolve(whole**2, np.ones(len(part)), "full")[len(part) - 1 :][: len(whole)])
    return float(np.max(products / (np.linalg.norm(part) * np.maximum(energies, 1e-3 * np.linalg.norm(whole)))))


def most_alike(side: Samples, other: Samples, heard: Samples) -> float:
    """Of the half seconds in which one side alone speaks; the first may have passed before it was listened to."""
    size = SAMPLE_RATE // 2
    pieces = [slice(start, start + size) for start in range(0, len(side) - size, size)]
    loud = [piece for piece in pieces if np.std(side[piece]) > 800 and np.std(other[piece]) < 100]
    return max(likeness(side[piece], heard) for piece in loud)


def samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, np.int16).astype(np.float64)


def onsets(frames: Sequence[Any]) -> list[float]:
    """When the microphone became loud after a quarter of a second of quiet."""
    found, quiet = [], 0
    for _, level, at in frames:
        if level < 0.01:
            quiet += 1
        else:
            if quiet > 12:
                found.append(at)
            quiet = 0
    return found


def fake_microphone(path: Path) -> tuple[str, ...]:
    """Chrome's flags for a microphone that hears the file once."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}%noloop",
    )


async def test_a_spoken_call_from_microphone_to_loudspeaker(tmp_path: Path) -> None:
    voice = shared_voice()
    lines = ("Hello?", "Mhm.", "Mhm.", "Yes, Thursday at two works for me.", "No, thank you. Goodbye.")
    said = [voice.say(text, pitch=CALLEE_PITCH) for text in lines]
    write_microphone(tmp_path / "microphone.wav", zip((3.0, 6.0, 8.5, 11.0, 20.0), said, strict=True))
    async with (
        DeepgramSimulator(lambda _: ScriptedRecogniser(said), api_key="deepgram-key") as deepgram,
        running_server(
            tmp_path, deepgram_api_key=SecretStr("deepgram-key"), deepgram_base_url=deepgram.url
        ) as server,
        open_browser(*fake_microphone(tmp_path / "microphone.wav")) as browser,
    ):
        page = await (await context(browser)).new_page()
        await page.add_init_script(RECORD)
        await page.goto(server.url + "/phone")
        await expect(page.get_by_label("Speak, and the server listens")).to_be_checked()
        await page.get_by_role("button", name="Let the agent call me").click()
        await expect(page.get_by_role("button", name="Another call")).to_be_visible(timeout=60_000)
        call_id, line = await id_of(page), await page.evaluate("line")
        call = await server.ended(call_id)
        await expect(page.locator("#outcome-badge")).to_have_text("goal reached", timeout=SLOW_MS)
        assert call["vendors"]["stt"] == "deepgram"

        heard = samples(mulaw_to_pcm(b"".join(base64.b64decode(frame) for frame, _, _ in line["frames"])))
        opening = server.agent.planner.opening_preview(await server.agent.store.find(call_id))
        assert opening is not None
        spoken = samples(voice.say(opening).pcm)[: int(1.5 * SAMPLE_RATE)]
        assert likeness(spoken, heard) > 0.7, "the opening's own words, which an early hello may hold up"
        recorded = (await server.http.get(f"/api/phone/calls/{call_id}/recording")).content
        agent = samples(recorded[44:]).reshape(-1, 2)[:, 1]
        begins = np.flatnonzero(np.abs(agent) > 500)[0]
        assert likeness(agent[begins : begins + SAMPLE_RATE], heard) > 0.95
        # The agent speaks for seven seconds, and falls silent for each sound of the callee's.
        waits = [
            min((c - at for c in line["cleared"] if c > at), default=math.inf) for at in onsets(line["frames"])
        ]
        assert min(waits) < 0.3, waits


async def test_a_simulated_callee_is_watched_and_heard(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, open_browser() as browser:
        page = await (await context(browser)).new_page()
        problems = Problems(page)
        await page.add_init_script(RECORD)
        await page.goto(server.url + "/phone")
        await page.get_by_label("Who picks up").select_option("cooperative")
        await page.get_by_role("button", name="Watch and listen").click()
        await said_by_agent(page, 1)
        await expect(page.locator("#turns .callee").nth(1)).to_be_visible(timeout=SLOW_MS)
        await page.screenshot(path=SHOTS / "phone-watching-desktop-light.png", full_page=True)
        await said_by_agent(page, 2)
        if await page.get_by_role("button", name="Hang up").is_visible():
            await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Another call")).to_be_visible(timeout=SLOW_MS)
        assert problems.said == []
        call_id, line = await id_of(page), await page.evaluate("line")
        call = await server.ended(call_id)
        assert (call["vendors"]["carrier"], call["phone_number"][:19]) == ("simulated", "client:cooperative.")
        heard = samples(mulaw_to_pcm(b"".join(base64.b64decode(frame) for frame, _, _ in line["frames"])))
        recorded = (await server.http.get(f"/api/phone/calls/{call_id}/recording")).content
        callee, agent = samples(recorded[44:]).reshape(-1, 2).T
        assert most_alike(callee, agent, heard) > 0.9
        assert most_alike(agent, callee, heard) > 0.9


RECOGNITION = """
  window.SpeechRecognition = class {
    start() {
      const lines = %s;
      let quiet = -1;
      this.listen = ({ detail }) => {
        if (detail.level > 0.012) quiet = 0;
        else if (quiet >= 0) quiet += 1;
        if (quiet !== 25 || !lines.length) return;
        quiet = -1;
        const result = Object.assign([{ transcript: lines.shift() }], { isFinal: true });
        this.onresult({ resultIndex: 0, results: [result] });
      };
      document.addEventListener("phone:frame", this.listen);
    }
    stop() { document.removeEventListener("phone:frame", this.listen); }
  };
"""
"""A browser's own speech recognition: half a second behind each speech it knows the next line."""


async def test_the_browser_may_listen_where_its_person_agrees(tmp_path: Path) -> None:
    voice, lines = shared_voice(), ("Hello?", "Yes, Thursday at two works for me.")
    said = [voice.say(text, pitch=CALLEE_PITCH) for text in lines]
    write_microphone(tmp_path / "microphone.wav", zip((3.0, 12.0), said, strict=True))
    async with (
        running_server(tmp_path) as server,
        open_browser(*fake_microphone(tmp_path / "microphone.wav")) as browser,
    ):
        page = await (await context(browser)).new_page()
        await page.add_init_script(RECOGNITION % list(lines))
        await page.goto(server.url + "/phone")
        await page.get_by_label("Speak, and this browser listens").check()
        await page.get_by_role("button", name="Let the agent call me").click()
        await expect(page.get_by_role("alert")).to_contain_text("Agree first")
        await page.get_by_label("I agree").check()
        await page.get_by_role("button", name="Let the agent call me").click()
        await said_by_agent(page, 2)
        await page.get_by_role("button", name="Hang up").click()
        call = await server.ended(await id_of(page))
        assert (call["phone_number"], call["vendors"]["stt"]) == ("client:typed", "scripted")
        assert [turn["text"] for turn in call["transcript"] if turn["speaker"] == "callee"] == list(lines)
        assert call["outcome"]["fields"]["confirmed"] is True
