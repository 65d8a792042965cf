"""What a scenario's author is told about a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.conversation.scenario.scenario import load_file
from bot.errors import ScenarioError

MINIMAL = 'description = "d"\ninstructions = "i"\n'


def told(folder: Path, text: str) -> str:
    path = folder / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    lines = caught.value.message.split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    return "\n".join(line.removeprefix(f"{path}: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('langauge = "en"', "langauge: there is no such key; did you mean 'language'?"),
        ('[opening]\ntxt = "Hi."', "opening.txt: there is no such key; did you mean 'text'?"),
        (
            "[opening]\ntools = []",
            "opening.tools: there is no such key; it belongs to the top of the file, before the first table",
        ),
        ('[agent]\nvoice = "x"', "agent.voice: there is no such key; there are: name, organization, context"),
        (
            '[stt]\nvendor = "deepgram"\nmodle = "x"',
            "stt.modle: there is no such key; did you mean 'model'?",
        ),
        (
            '[llm_fallback]\nvendor = "anthropic"\nmax_token = 9',
            "llm_fallback.max_token: there is no such key; did you mean 'max_tokens'?",
        ),
        (
            '[[outcome]]\nname = "a"\ndescription = "d"\noption = ["x"]',
            "outcome \"a\".option: there is no such key; did you mean 'options'?",
        ),
        ('[tts]\nvendor = "elevenlab"', "tts: there is no vendor 'elevenlab'; did you mean 'elevenlabs'?"),
        ('[tts]\nvendor = "parrot"', "tts: there is no vendor 'parrot'; there are: elevenlabs, hibari"),
        ('[llm]\nmodel = "x"', "llm: has to name its vendor"),
        (
            'direction = "outbond"',
            "direction: has to be 'outbound' or 'inbound', not 'outbond'; did you mean 'outbound'?",
        ),
        ('tools = "end_call"', "tools: has to be a list, not 'end_call'"),
        ("[limits]\nring_seconds = 1", "limits.ring_seconds: has to be at least 5, not 1"),
        ('[limits]\nmax_duration_seconds = "10"', "limits.max_duration_seconds: has to be a number, not '10'"),
        ('[pickup]\namd = "yes"', "pickup.amd: has to be true or false, not 'yes'"),
        (
            '[[outcome]]\nname = "a"\ndescription = 3',
            'outcome "a".description: has to be a string, not 3',
        ),
        ('[voicemail]\nmessage = "{{foo}}"', "voicemail.message: unknown variable {{foo}}; known: "),
        ('[pronunciation]\n"" = "x"', "pronunciation: the key '' has to be at least 1 character long (line 3)"),
        ("[example]\n[limits]\n[example]", "[example] stands twice (line 5"),
        ("[stt.a]\n[stt.a]", "[stt.a] stands twice (line 4"),
        ('description = "again"\n', "a key stands twice (line 3"),
        ('goal = "nope"', "goal: 'nope' is not a boolean field of [[outcome]] (line 3)"),
        ('tools = ["transfer_call"]', "transfer: [[transfer]] targets and "),
        ('language = "xx"', "language: there are no phrases for language 'xx'"),
        ('tools = ["end_cal"]', "tools: there is no tool 'end_cal'; did you mean 'end_call'? (line 3)"),
        ('tools = ["parrot"]', "tools: there is no tool 'parrot'; there are: do_not_call, "),
        ("opening = 1", "opening: has to be a table, not 1"),
    ],
)
def test_a_mistake_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert told(tmp_path, MINIMAL + text).startswith(words)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert told(tmp_path, "") == "description: has to be given\ninstructions: has to be given"


@pytest.mark.parametrize("value", ["{CLINIC_TOKEN}", "Bearer ${CLINIC_TOKEN}", "Bearer { CLINIC_TOKEN }"])
def test_a_secret_named_without_env_is_not_sent_as_it_stands(tmp_path: Path, value: str) -> None:
    tool = '[[http_tools]]\nname = "x"\ndescription = "d"\nurl = "https://a.example/"\n'
    said = told(tmp_path, MINIMAL + tool + f'headers = {{ Authorization = "{value}" }}')
    assert said.startswith('http_tools "x".headers: nothing fills ')
    assert "write {env:CLINIC_TOKEN}" in said
    server = f'[[mcp_servers]]\nname = "x"\ncommand = "y"\nenv = {{ TOKEN = "{value}" }}'
    assert "write {env:CLINIC_TOKEN}" in told(tmp_path, MINIMAL + server)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('langauge = "en"', 3),
        ("[limits]\nsilence_seconds = 4\nring_seconds = 1", 5),
        ('[[outcome]]\nname = "a"\ndescription = "d"\n\n[[outcome]]\nname = "b"\ndescription = 3', 9),
        ('[[http_tools]]\nname = "x"\nurl = "https://a.example/"', 3),
        (
            '[[outcome]]\nname = "a"\ndescription = "d"\n[[http_tools]]\nname = "x y"\nurl = "x"',
            7,
        ),
    ],
)
def test_the_line_is_told(tmp_path: Path, text: str, line: int) -> None:
    first = told(tmp_path, MINIMAL + text).split("\n")[0]
    assert f"(line {line})" in told(tmp_path, MINIMAL + text), first


def test_an_entry_without_a_name_is_counted(tmp_path: Path) -> None:
    tool = '[[http_tools]]\ndescription = "d"\nurl = "https://a.example/"\n'
    assert told(tmp_path, MINIMAL + tool).startswith("http_tools 1.name: has to be given")
