"""deploy/ against the code: what it names exists, and the times of a shutdown add up."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types
from fastapi import FastAPI

from bot.api import metrics_router, router
from bot.calls.shutdown import APOLOGY_SECONDS, STOP_SECONDS
from bot.settings import Settings
from bot.telemetry import metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
SETTINGS = {name.upper() for name in Settings.model_fields}
OTHERS = re.compile(r"PATH|PYTHON\w+|UV_\w+|POSTGRES_\w+|OTEL_\w+")
"""Variables of the environment that are not ours."""
GRACE_SECONDS = 10
"""uvicorn's own, once the calls are over."""


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, arguments), continued lines joined, comments dropped."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()
    ]


def last_stage() -> list[tuple[str, str]]:
    instructions = dockerfile()
    begin = max(index for index, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[begin:]


def the(name: str) -> str:
    """The arguments of the last stage's only instruction of that name."""
    (found,) = [arguments for instruction, arguments in last_stage() if instruction == name]
    return found


def environment_of_image() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(the("ENV")))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [each for path in MANIFESTS for each in documents(path) if each["kind"] == kind]
    return found


def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    return found


def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def paths_of_routes() -> set[str]:
    app = FastAPI()
    app.include_router(router)
    app.include_router(metrics_router)
    return {*app.openapi()["paths"], "/metrics"}  # which is not in the schema


def seconds(text: str) -> int:
    """Of compose's durations: 11m, 30s."""
    units = {"s": 1, "m": 60, "h": 3600}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


# -- names -----------------------------------------------------------------------------------------------


def test_every_variable_of_the_environment_is_a_setting() -> None:
    named = {
        name for instruction, text in dockerfile() if instruction == "ENV" for name in _names(shlex.split(text))
    }
    for service in compose()["services"].values():
        named |= set(service.get("environment", {}))
    named |= set(manifest("ConfigMap")["data"]) | set(manifest("Secret")["stringData"])
    named |= {each["name"] for each in container()["env"]}
    strangers = {name for name in named if name not in SETTINGS and not OTHERS.fullmatch(name)}
    assert not strangers
    assert {"DATABASE_URL", "API_KEYS", "PUBLIC_HOST", "DRAIN_SECONDS", "MAX_CALLS"} <= named


def _names(pairs: list[str]) -> set[str]:
    return {pair.split("=", 1)[0] for pair in pairs}


def test_no_secret_is_in_a_config_map() -> None:
    for name in manifest("ConfigMap")["data"]:
        assert "SecretStr" not in str(Settings.model_fields[name.lower()].annotation), name
        assert name != "DATABASE_URL", "it holds a password"


def test_what_the_environment_says_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (environment_of_image() | manifest("ConfigMap")["data"]).items():
        if name in SETTINGS:
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.drain_seconds == 600
    assert settings.host == "0.0.0.0"
    assert settings.data_dir == Path("/data")


def test_a_copy_of_env_example_does_not_undo_the_image() -> None:
    """Compose hands on its empty names, and an empty variable would win over the image's."""
    given = compose()["services"]["agent"]["environment"]
    image = {name: value for name, value in environment_of_image().items() if name in SETTINGS}
    assert {name: given.get(name) for name in image} == image


# -- the image -------------------------------------------------------------------------------------------


def test_the_image_starts_the_server_of_the_readme() -> None:
    assert json.loads(the("ENTRYPOINT")) == ["python", "server.py"]
    assert "uv run server.py" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert compose()["services"]["agent"]["command"] == ["--workers", "2"]
    assert "--workers" in (ROOT / "bot" / "cli" / "serve.py").read_text(encoding="utf-8")


def test_the_image_runs_as_nobody_special() -> None:
    user, group = the("USER").split(":")
    assert int(user) > 1000
    security = pod()["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["runAsNonRoot"]


def test_the_image_has_what_it_copies_and_all_that_the_server_reads() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied: set[str] = set()
    for name, arguments in dockerfile():
        words = shlex.split(arguments)
        if name == "COPY" and not words[0].startswith("--"):
            copied |= set(words[:-1])
    assert all((ROOT / name).exists() for name in copied)
    assert copied == let_in, "what is copied is let in, and nothing else"
    assert {"bot", "pipelines", "server.py", "pyproject.toml"} <= copied


def test_the_health_check_asks_for_a_route_that_exists() -> None:
    check = the("HEALTHCHECK")
    command = json.loads(check[check.index("CMD") + 3 :])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    assert any(path in command[2] for path in paths_of_routes() if path.endswith("/live"))


def test_the_versions_of_python_and_uv_are_the_project_s() -> None:
    (python,) = {arguments.split()[0] for name, arguments in dockerfile() if name == "FROM"}
    tested = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    assert f'"{python.removeprefix("python:").removesuffix("-slim")}"' in tested
    (uv,) = re.findall(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert f"uv=={uv}" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


# -- compose and Kubernetes --------------------------------------------------------------------------------


def test_there_is_time_to_drain() -> None:
    drain = float(manifest("ConfigMap")["data"]["DRAIN_SECONDS"])
    (sleep, waited) = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    needed = drain + APOLOGY_SECONDS + STOP_SECONDS + GRACE_SECONDS
    assert pod()["terminationGracePeriodSeconds"] >= needed + float(waited)
    agent = compose()["services"]["agent"]
    needed += float(agent["environment"]["DRAIN_SECONDS"]) - drain
    assert seconds(agent["stop_grace_period"]) >= needed


def test_the_probes_ask_for_routes_that_exist() -> None:
    paths = {
        name: container()[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")
    }
    assert set(paths.values()) <= paths_of_routes()
    assert paths["readiness"].endswith("/ready")
    assert paths["liveness"].endswith("/live")


def test_the_ports_meet() -> None:
    (port,) = container()["ports"]
    assert str(port["containerPort"]) == environment_of_image()["PORT"] == the("EXPOSE")
    (service,) = manifest("Service")["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    assert compose()["services"]["agent"]["ports"] == [f"{port['containerPort']}:{port['containerPort']}"]
    annotations = manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/path"] in paths_of_routes()


def test_the_names_within_kubernetes_meet() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    name = manifest("Deployment")["metadata"]["name"]
    assert manifest("ScaledObject")["spec"]["scaleTargetRef"]["name"] == name
    sources = [source for each in container()["envFrom"] for source in each.values()]
    assert [each["name"] for each in sources] == [
        manifest("ConfigMap")["metadata"]["name"],
        manifest("Secret")["metadata"]["name"],
    ]
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod()["volumes"]}
    assert mounts["data"] == environment_of_image()["DATA_DIR"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in pod()["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [manifest("PersistentVolumeClaim")["metadata"]["name"]]


def test_kustomize_takes_every_manifest_but_the_example() -> None:
    (kustomization,) = [each for path in MANIFESTS for each in documents(path) if each["kind"] == "Kustomization"]
    files = {path.name for path in MANIFESTS} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(kustomization["resources"]) == files
    assert [image["name"] for image in kustomization["images"]] == [container()["image"]]


def test_it_scales_by_metrics_that_exist() -> None:
    page, _ = metrics.page("")
    queries = [trigger["metadata"]["query"] for trigger in manifest("ScaledObject")["spec"]["triggers"]]
    named = {name for query in queries for name in re.findall(r"\bphone_agent_\w+", query)}
    assert named == {"phone_agent_calls_on_line", "phone_agent_queue_depth"}
    for name in named:
        assert f"# TYPE {name} gauge" in page.decode()
    (waiting,) = [query for query in queries if "queue_depth" in query]
    assert 'state="ready"' in waiting, "no pod waits all night for the calls of tomorrow"
    threshold = float(manifest("ScaledObject")["spec"]["triggers"][0]["metadata"]["threshold"])
    assert threshold < float(manifest("ConfigMap")["data"]["MAX_CALLS"])
