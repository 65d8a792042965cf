"""The doctor's check of the LLM servers that scenarios name."""

import asyncio

from bot.cli.findings import SECONDS, Finding, finished, offline, refused, why_not
from bot.conversation.call_plan import choose
from bot.conversation.scenario.scenario import Scenarios
from bot.pipeline.llm.vendors import Claude, LlmVendor, OpenAICompatible
from bot.settings import Settings


async def check_llm_servers(scenarios: Scenarios, settings: Settings) -> list[Finding]:
    """One finding for each server that a scenario asks; a warning where another LLM takes its calls."""
    llms_of: dict[str, tuple[LlmVendor, ...]] = {}
    servers: dict[tuple[str, str], OpenAICompatible] = {}
    for name in scenarios.names:
        scenario = scenarios.get(name)
        llms_of[name] = choose(scenario, settings, simulated_line=True).llms
        named = [
            member for member in (scenario.llm, scenario.llm_fallback) if isinstance(member, OpenAICompatible)
        ]
        servers |= {_model_at(member): member for member in named}
    checks = (finished("llm server", check_llm_server(server, settings)) for server in servers.values())
    found = dict(zip(servers, await asyncio.gather(*checks), strict=True))

    def answers(member: LlmVendor) -> bool:
        return not isinstance(member, OpenAICompatible) or found[_model_at(member)].ok

    findings = []
    for model, finding in found.items():
        asking = [name for name in llms_of if model in map(_model_at, llms_of[name])]
        lost = [name for name in asking if not any(map(answers, llms_of[name]))]
        words = finding.message
        if not finding.ok and lost:
            words += f" No other LLM holds the calls of {', '.join(lost)}."
        elif asking and not finding.ok:
            others = {_shown(m, settings) for name in asking for m in llms_of[name] if answers(m)}
            words += f" The calls of {', '.join(asking)} go on with {' and '.join(sorted(others))}."
        findings.append(Finding(finding.name, finding.ok or not lost, words, finding.fix))
    return findings


def _model_at(member: LlmVendor) -> tuple[str, str]:
    return (member.base_url, member.model) if isinstance(member, OpenAICompatible) else ("", "")


def _shown(member: LlmVendor, settings: Settings) -> str:
    if isinstance(member, OpenAICompatible):
        return f"{member.model} of {member.base_url}"
    return member.model_name(settings) if isinstance(member, Claude) else "the rule-based LLM"


async def check_llm_server(server: OpenAICompatible, settings: Settings) -> Finding:
    """Asks an OpenAI-compatible server that a scenario names for its models."""
    name = "llm server"
    if missing := server.missing(settings):
        return offline(name, " and ".join(missing), "the rule-based LLM")
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

    async with AsyncOpenAI(
        api_key=server.key(), base_url=server.base_url, timeout=SECONDS, max_retries=0
    ) as client:
        try:
            models = [model.id async for model in client.models.list()]
        except APIStatusError as error:
            if error.status_code == 404:
                return Finding(name, True, f"{server.base_url} is there; it does not list its models.")
            return refused(name, error.status_code, f"the key of {server.base_url}")
        except APIConnectionError as error:
            fix = "Start it, or correct base_url in [llm]."
            return Finding(name, False, f"{server.base_url} {why_not(error)}.", fix)
    if server.model not in {known for model in models for known in (model, model.removesuffix(":latest"))}:
        known = ", ".join(models[:8]) or "none"
        fix = "Load it there, or name another one in [llm]."
        return Finding(name, False, f"{server.base_url} has no model {server.model}; it has: {known}.", fix)
    return Finding(name, True, f"{server.base_url} has {server.model}.")
