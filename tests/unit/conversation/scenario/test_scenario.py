"""Scenarios: the shipped ones load, every mistake names its file and key, templates are filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.calls.dialling.policy import unlimited
from bot.conversation.scenario.scenario import DEFAULT_INBOUND, DEFAULT_OUTBOUND, Scenarios, load_file
from bot.conversation.templates import VARIABLES, render
from bot.errors import ScenarioError, UnknownScenarioError
from bot.policy import HoursTerms, RetryOn, RetryTerms, Weekday
from bot.records import Direction, Speaker

SHIPPED = Path(__file__).parents[4] / "pipelines"
MINIMAL = 'description = "d"\ninstructions = "i"\n'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


# -- the shipped ones --------------------------------------------------------------------------------------


def test_all_shipped_scenarios_load_and_the_promised_ones_are_there() -> None:
    scenarios = Scenarios.load(SHIPPED)
    promised = {
        "appointment_confirmation",
        "appointment_reschedule",
        "lead_callback",
        "survey",
        "inbound_reception",
    }
    assert promised <= set(scenarios.names)
    assert scenarios.default(Direction.OUTBOUND) == DEFAULT_OUTBOUND == "appointment_confirmation"
    assert scenarios.default(Direction.INBOUND) == DEFAULT_INBOUND == "inbound_reception"
    for name in promised:
        scenario = scenarios.get(name)
        assert scenario.goal, "without a goal nobody knows whether the call was worth it"
        assert "end_call" in scenario.tools
        assert (scenario.limits.max_duration_seconds, scenario.limits.silence_seconds) == (600, 10)
        assert (scenario.direction == "inbound") == (scenario.first_speaker == "agent")


def test_a_shipped_opening_sounds_whole_with_and_without_names() -> None:
    scenarios = Scenarios.load(SHIPPED)
    everything = dict.fromkeys(VARIABLES, "Word")
    for name in scenarios.names:
        text = scenarios.get(name).opening.text
        assert text is not None
        for values in ({}, everything):
            said = render(text, {"agent_name": "Alex"} | values)
            assert not any(mark in said for mark in ("{", "}", "[", "]", "  ", " ,", " ."))
            assert said.endswith(("?", "Word"))


# -- mistakes ----------------------------------------------------------------------------------------------

MISTAKES = [
    ("", "description"),
    (MINIMAL + 'tone = "warm"', "tone"),
    (MINIMAL + "instructions = 1", "a key stands twice"),
    (MINIMAL + "first_speaker", "Expected '='"),
    (MINIMAL + 'first_speaker = "nobody"', "first_speaker"),
    (MINIMAL + 'language = "english"', "language"),
    (MINIMAL + 'tools = ["end_call", "order_pizza"]', "order_pizza"),
    (MINIMAL + 'numbers = ["2025550123"]', "numbers"),
    (MINIMAL + 'numbers = ["+1 202 555 0123"]', "+12025550123"),
    (MINIMAL + 'goal = "confirmed"', "confirmed"),
    (MINIMAL + "[limits]\nring_seconds = 1", "limits.ring_seconds"),
    (MINIMAL + '[limits]\nring_seconds = "30"', "limits.ring_seconds"),
    (MINIMAL + '[interruption]\nallowed = "no"', "interruption.allowed"),
    (MINIMAL + "[limits]\nrings = 30", "limits.rings"),
    (MINIMAL + '[opening]\ntext = "Hi {{name}}"', "opening.text"),
    (MINIMAL + '[opening]\ntext = "Hi {{Callee Name}}"', "opening.text"),
    (MINIMAL + '[opening]\ntext = "Hi [[{{callee_name}}"', "opening.text"),
    (MINIMAL + '[voicemail]\nmessage = "Call {{organisation}}"', "voicemail.message"),
    (MINIMAL + "[phrases]\nsilence = []", "phrases.silence"),
    (MINIMAL + '[stt]\nvendor = "whisper"', "stt"),
    (MINIMAL + '[stt]\nvendor = "deepgram_flux"\neager_eot_threshold = 0.8', "eager_eot_threshold"),
    (MINIMAL + '[stt_fallback]\nvendor = "deepgram_flux"', "stt_fallback"),
    (MINIMAL + '[tts_fallback]\nvendor = "hibari"\nspeed = 9', "tts_fallback.speed"),
    (MINIMAL + '[stt]\nvendor = "deepgram"\nmodle = "x"', "stt.modle"),
    (MINIMAL + '[tts]\nvendor = "elevenlabs"\nspeed = 9', "tts.speed"),
    (MINIMAL + '[llm]\nmodel = "x"', "llm"),
    (MINIMAL + '[llm]\nvendor = "anthropic"\nstall_seconds = 0', "llm.stall_seconds"),
    (MINIMAL + '[llm_fallback]\nvendor = "oracle"', "llm_fallback"),
    (MINIMAL + "[patience]\nfiller_seconds = 0", "patience.filler_seconds"),
    (MINIMAL + "[patience]\napology_seconds = 5", "patience"),
    (MINIMAL + "[vad]\nconfidence = 2.0", "vad.confidence"),
    (MINIMAL + '[turn]\ndetector = "magic"', "turn.detector"),
    (MINIMAL + '[[outcome]]\nname = "Not A Name"\ndescription = "d"', 'outcome "Not A Name".name'),
    (MINIMAL + '[[outcome]]\nname = "a"\ndescription = "d"\ntype = "choice"', 'outcome "a"'),
    (MINIMAL + '[[outcome]]\nname = "a"\ndescription = "d"\noptions = ["x"]', 'outcome "a"'),
    (
        MINIMAL + '[[outcome]]\nname = "a"\ndescription = "d"\n[[outcome]]\nname = "a"\ndescription = "d"',
        "same name",
    ),
    (MINIMAL + 'goal = "a"\n[[outcome]]\nname = "a"\ndescription = "d"', "boolean"),
    (MINIMAL + 'tools = ["transfer_call"]', "transfer_call"),
    (MINIMAL + '[[transfer]]\nname = "desk"\nnumber = "+12025550177"', "transfer_call"),
    (
        MINIMAL + 'tools = ["transfer_call"]\n[[transfer]]\nname = "desk"\nnumber = "0177"',
        'transfer "desk".number',
    ),
    (
        MINIMAL + 'tools = ["transfer_call"]\n' + 2 * '[[transfer]]\nname = "desk"\nnumber = "+12025550177"\n',
        "transfer: two targets",
    ),
    (MINIMAL + 'name = "other"', "name"),
    (MINIMAL + "language = 2026-01-01", "language"),
]


@pytest.mark.parametrize(("text", "key"), MISTAKES)
def test_a_mistake_names_its_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = write(tmp_path, "wrong", text)
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    assert str(path) in caught.value.message
    assert key in caught.value.message


def test_all_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "one", MINIMAL + "a = 1\nb = 2")
    write(tmp_path, "two", "not toml")
    write(tmp_path, "three", MINIMAL)
    with pytest.raises(ScenarioError) as caught:
        Scenarios.load(tmp_path)
    message = caught.value.message
    assert "one.toml" in message
    assert "a: " in message
    assert "b: " in message
    assert "two.toml" in message
    assert "three.toml" not in message


def test_a_file_that_is_not_utf8_is_a_mistake_too(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b'description = "\xff"')
    with pytest.raises(ScenarioError, match=r"bad\.toml"):
        Scenarios.load(tmp_path)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="PIPELINES_DIR"):
        Scenarios.load(tmp_path)


def test_a_number_belongs_to_one_scenario(tmp_path: Path) -> None:
    write(tmp_path, "one", MINIMAL + 'direction = "inbound"\nnumbers = ["+12025550123"]')
    write(tmp_path, "two", MINIMAL + 'direction = "inbound"\nnumbers = ["+12025550123"]')
    with pytest.raises(ScenarioError) as caught:
        Scenarios.load(tmp_path)
    assert all(part in caught.value.message for part in ("one.toml", "two.toml", "+12025550123", "numbers"))


def test_our_numbers_find_their_scenario(tmp_path: Path) -> None:
    write(tmp_path, "sales", MINIMAL + 'direction = "inbound"\nnumbers = ["+12025550123"]')
    scenarios = Scenarios.load(tmp_path)
    assert scenarios.for_number("+12025550123") == "sales"
    assert scenarios.for_number("+12025550124") == DEFAULT_INBOUND


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UnknownScenarioError) as caught:
        Scenarios.load(SHIPPED).get("pizza")
    assert caught.value.field == "scenario"
    assert "survey" in caught.value.message


def test_the_request_says_who_speaks_first(tmp_path: Path) -> None:
    scenario = load_file(write(tmp_path, "s", MINIMAL))
    assert scenario.speaks_first(None) is Speaker.CALLEE
    assert scenario.speaks_first(Speaker.AGENT) is Speaker.AGENT


# -- templates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("Hi {{callee_name}}!", {"callee_name": "John"}, "Hi John!"),
        ("Hi {{ callee_name | there }}", {}, "Hi there"),
        ("Hi {{callee_name|there}}", {"callee_name": ""}, "Hi there"),
        ("Hi {{callee_name}} you", {}, "Hi you"),
        ("I am Alex[[ from {{organization}}]].", {}, "I am Alex."),
        ("I am Alex[[ from {{organization}}]].", {"organization": "Acme"}, "I am Alex from Acme."),
        ("[[{{callee_name}} and {{agent_name}}]]x", {"callee_name": "J"}, "x"),
        ("[[{{callee_name|you}}]]", {}, "you"),
        ("a [[b]] c", {}, "a b c"),
        ("a\n  b", {}, "a b"),
        ("Hi {{callee_name}}", {"callee_name": "{{action}} [[x]]", "action": "secret"}, "Hi {{action}} [[x]]"),
        ("[[Hi {{callee_name}}]]", {"callee_name": "{{action}}", "action": "secret"}, "Hi {{action}}"),
    ],
)
def test_templates(template: str, values: dict[str, str | None], said: str) -> None:
    assert render(template, values) == said


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_value_is_never_read_as_a_template(name: str, action: str) -> None:
    said = render("<{{callee_name}}>[[<{{callee_name}}>]]", {"callee_name": name, "action": action})
    folded = " ".join(f"<{name}><{name}>".split())
    assert said == (folded if name else "<>")


# -- languages ---------------------------------------------------------------------------------------------


def test_what_a_file_leaves_out_is_said_in_its_language(tmp_path: Path) -> None:
    english = load_file(write(tmp_path, "english", MINIMAL))
    assert english.phrases.goodbye == "Thank you. Goodbye."
    assert english.phrases.silence[0] == "Are you still there?"
    assert english.voicemail.message.startswith("Hello, this is {{agent_name}}")
    spanish = load_file(write(tmp_path, "spanish", MINIMAL + 'language = "es-MX"'))
    assert spanish.phrases.goodbye == "Muchas gracias. Adiós."
    assert spanish.phrases.silence[0] == "¿Sigue ahí?"
    assert spanish.phrases.fillers[0] == "Un momento."
    assert spanish.voicemail.message.startswith("Hola, le habla {{agent_name}}")
    for name, said in spanish.phrases.model_dump().items():
        assert said, name
        assert said != getattr(english.phrases, name), name


def test_what_a_file_says_stands(tmp_path: Path) -> None:
    text = (
        MINIMAL + 'language = "es"\n[phrases]\ngoodbye = ""\nsilence = ["¿Aló?"]\n[voicemail]\nmessage = "Hola."'
    )
    scenario = load_file(write(tmp_path, "own", text))
    assert (scenario.phrases.goodbye, scenario.phrases.silence) == ("", ("¿Aló?",))
    assert scenario.voicemail.message == "Hola."
    assert scenario.phrases.time_is_up.endswith("Adiós.")


def test_a_call_back_is_promised_by_a_phrase_of_its_own(tmp_path: Path) -> None:
    promised = load_file(write(tmp_path, "a", MINIMAL + 'tools = ["end_call", "schedule_callback"]'))
    assert "call you back" not in promised.phrases.trouble
    assert promised.apologies == (promised.phrases.trouble, promised.phrases.trouble_call_back)
    assert "call you back" in promised.phrases.trouble_call_back
    own = load_file(write(tmp_path, "b", MINIMAL + '[phrases]\ntrouble = "Sorry. Goodbye."'))
    assert own.phrases.trouble_call_back == "Sorry. Goodbye.", "a file's own words are not promises of ours"
    assert own.apologies == ("Sorry. Goodbye.",)


def test_a_language_without_phrases_is_refused_and_says_which_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "french", MINIMAL + 'language = "fr"\n[phrases]\ngoodbye = "Merci, au revoir."')
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    message = caught.value.message
    assert "'fr'" in message and "en, es" in message
    assert "phrases.silence" in message and "phrases.fillers" in message
    assert "phrases.goodbye" not in message and "voicemail.message" not in message


def test_a_language_without_phrases_may_bring_its_own(tmp_path: Path) -> None:
    known = load_file(write(tmp_path, "known", MINIMAL)).phrases.model_dump()
    own = "\n".join(
        f"{name} = {['Allô ?'] if isinstance(said, tuple) else 'Au revoir.'!r}" for name, said in known.items()
    )
    text = MINIMAL + f'language = "fr"\n[phrases]\n{own}\n[screening]\ntext = "Ici {{{{agent_name}}}}."'
    scenario = load_file(write(tmp_path, "french", text))
    assert scenario.phrases.silence == ("Allô ?",)
    leaving = text + '\n[voicemail]\npolicy = "leave_message"'
    with pytest.raises(ScenarioError, match=r"say them here: voicemail\.message"):
        load_file(write(tmp_path, "leaving", leaving))


def test_the_shipped_spanish_scenario_is_spanish_all_through() -> None:
    scenario = Scenarios.load(SHIPPED).get("confirmacion_de_cita")
    spoken = " ".join([
        *(text if isinstance(text, str) else " ".join(text) for text in scenario.phrases.model_dump().values()),
        scenario.opening.text or "", scenario.voicemail.message, scenario.screening.text,
        *(field.question or "" for field in scenario.outcome),
    ])  # fmt: skip
    assert not {"the", "you", "and", "your", "goodbye", "hello"} & set(spoken.lower().split())
    assert (scenario.language, scenario.goal) == ("es", "confirmada")


def test_what_a_machine_meets_by_default(tmp_path: Path) -> None:
    scenario = load_file(write(tmp_path, "plain", MINIMAL))
    assert scenario.pickup.amd is True
    assert (scenario.voicemail.policy, scenario.voicemail.silence_seconds) == ("hang_up", 2.5)
    assert (scenario.screening.policy, scenario.screening.wait_seconds) == ("answer", 30)
    assert scenario.screening.text.startswith("This is {{agent_name}}")
    assert (scenario.menu.policy, scenario.menu.max_steps, scenario.menu.goal) == ("navigate", 10, "")


def test_who_finds_the_way_through_a_menu_can_press_keys(tmp_path: Path) -> None:
    navigates = load_file(write(tmp_path, "a", MINIMAL))
    hangs_up = load_file(write(tmp_path, "b", MINIMAL + '[menu]\npolicy = "hang_up"'))
    answers = load_file(write(tmp_path, "c", MINIMAL + 'direction = "inbound"'))
    named = load_file(write(tmp_path, "d", MINIMAL + 'tools = ["send_digits", "end_call"]'))
    assert "send_digits" in navigates.tools
    assert "send_digits" not in hangs_up.tools
    assert "send_digits" not in answers.tools
    assert named.tools.count("send_digits") == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[screening]\ntext = "It is {{agentname}}."', "screening.text"),
        ("[screening]\nwait_seconds = 1", "screening.wait_seconds"),
        ('[menu]\npolicy = "shout"', "menu.policy"),
        ('[voicemail]\npolicy = "sing"', "voicemail.policy"),
        ('[pickup]\namd = "yes"', "pickup.amd"),
    ],
)
def test_a_mistake_about_machines_is_named(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(ScenarioError, match=where.replace(".", r"\.")):
        load_file(write(tmp_path, "wrong", MINIMAL + text))


HTTP_TOOL = '[[http_tools]]\nname = "{}"\ndescription = "d"\nurl = "https://a.example/"\n'
MCP_SERVER = '[[mcp_servers]]\nname = "{}"\nurl = "https://a.example/mcp"\n'


@pytest.mark.parametrize(
    "tools",
    [
        HTTP_TOOL.format("end_call"),
        HTTP_TOOL.format("send_digits"),
        HTTP_TOOL.format("x") + HTTP_TOOL.format("x"),
        MCP_SERVER.format("x") + MCP_SERVER.format("x"),
    ],
)
def test_tools_have_different_names(tmp_path: Path, tools: str) -> None:
    with pytest.raises(ScenarioError, match=r"another tool|same name"):
        load_file(write(tmp_path, "tools", MINIMAL + tools))


def test_a_scenario_knows_what_its_tools_miss(tmp_path: Path) -> None:
    tools = (
        HTTP_TOOL.format("x") + 'headers = { A = "{env:ONE} {env:TWO}" }\n'
        f'{MCP_SERVER.format("y")}headers = {{ A = "{{env:THREE}}" }}\n'
    )
    scenario = load_file(write(tmp_path, "tools", MINIMAL + tools))
    assert scenario.missing({"TWO": "2", "THREE": ""}) == ["ONE", "THREE"]


def test_whoever_is_called_can_ask_not_to_be_called_again(tmp_path: Path) -> None:
    called = load_file(write(tmp_path, "a", MINIMAL))
    calls_us = load_file(write(tmp_path, "b", MINIMAL + 'direction = "inbound"'))
    named = load_file(write(tmp_path, "c", MINIMAL + 'tools = ["do_not_call", "end_call"]'))
    assert "do_not_call" in called.tools
    assert "do_not_call" not in calls_us.tools
    assert named.tools.count("do_not_call") == 1


def test_retries_and_hours(tmp_path: Path) -> None:
    text = MINIMAL + (
        '[retry]\nattempts = 3\ndelay_seconds = 60\nbackoff = 2\non = ["no-answer", "voicemail", "no_answer"]\n'
        '[hours]\nstart = "09:00"\nend = "17:30"\ndays = ["fri", "mon"]\n'
    )
    scenario = load_file(write(tmp_path, "a", text))
    assert scenario.retry.terms == RetryTerms(3, 60.0, 2.0, (RetryOn.NO_ANSWER, RetryOn.VOICEMAIL))
    assert scenario.hours.terms == HoursTerms("09:00", "17:30", (Weekday.MON, Weekday.FRI))


def test_without_a_word_there_is_one_attempt_at_any_time(tmp_path: Path) -> None:
    scenario = load_file(write(tmp_path, "a", MINIMAL), "none")
    assert scenario.retry.terms == RetryTerms()
    assert scenario.retry.terms.attempts == 1
    assert scenario.hours.terms == HoursTerms()
    assert unlimited(scenario.hours.terms)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[retry]\nattempts = 11", "retry.attempts"),
        ("[retry]\nattempts = 0", "retry.attempts"),
        ("[retry]\ndelay_seconds = -1", "retry.delay_seconds"),
        ("[retry]\nbackoff = 0.5", "retry.backoff"),
        ("[retry]\non = []", "retry.on"),
        ('[retry]\non = ["completed"]', "retry.on 1"),
        ("[retry]\nwhen = 1", "retry.when"),
        ('[hours]\nstart = "9:00"', "hours.start"),
        ('[hours]\nend = "24:01"', "hours.end"),
        ('[hours]\nstart = "18:00"\nend = "09:00"', "before end"),
        ("[hours]\ndays = []", "hours.days"),
        ('[hours]\ndays = ["monday"]', "hours.days 1"),
    ],
)
def test_retries_and_hours_that_make_no_sense(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load_file(write(tmp_path, "a", MINIMAL + text))
    assert key in refused.value.message
