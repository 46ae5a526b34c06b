"""The files of deploy/: they fit each other, and what they start works. There is no Docker engine here to ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from tenure_agent.asking import ask
from tenure_agent.config import Config, load_config, parse_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
STAGES = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
EXAMPLE = DEPLOY / "examples" / "tenure.yaml"


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


COMPOSE = load(DEPLOY / "compose.yaml")
SERVICES = COMPOSE["services"]


def mounts(service: str) -> dict[str, str]:
    """Path in the container → what is mounted there."""
    pairs = (volume.split(":")[:2] for volume in SERVICES[service].get("volumes", ()))
    return {target: source for source, target in pairs}


def instruction(stage: str, name: str) -> list[str]:
    """The JSON form of a Dockerfile instruction in a stage."""
    text = re.split(rf"^FROM \S+ AS {stage}$", DOCKERFILE, flags=re.MULTILINE)[1].split("\nFROM ")[0]
    found = re.search(rf"^{name} .*?(\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    command: list[str] = json.loads(found[1])
    return command


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_yaml_file_parses(path: Path) -> None:
    assert isinstance(load(path), dict)


@pytest.mark.parametrize("service", SERVICES)
def test_all_that_compose_names_is_there(service: str) -> None:
    for source in mounts(service).values():
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source
    if build := SERVICES[service].get("build"):
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        assert build["target"] in STAGES
    else:
        assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[service]["image"]), "an exact version"
    assert set(SERVICES[service].get("depends_on", ())) <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_published_beyond_this_machine(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", ()))


def test_server_and_agent_meet_at_one_socket() -> None:
    listen = load_config(EXAMPLE).listen
    assert SERVICES["server"]["environment"]["TENURE_AGENT"] == listen
    directory = str(PurePosixPath(listen.removeprefix("unix:")).parent)
    assert mounts("agent")[directory] == mounts("server")[directory] == "socket"
    store = load_config(EXAMPLE).store.path
    assert f"install -d -o tenure -g tenure -m 0700 {directory} {store.parent}" in DOCKERFILE
    assert store.is_relative_to(next(target for target, source in mounts("agent").items() if source == "store"))


def test_prometheus_scrapes_the_agent_and_finds_its_rules() -> None:
    config = load(DEPLOY / "prometheus" / "prometheus.yaml")
    assert config["scrape_configs"][0]["static_configs"] == [
        {"targets": [f"agent:{load_config(EXAMPLE).http_address[1]}"]}
    ]
    assert load_config(EXAMPLE).http_address[0] == "0.0.0.0"
    home = PurePosixPath(next(target for target in mounts("prometheus") if target.endswith("prometheus.yml"))).parent
    assert {str(home / name) for name in config["rule_files"]} <= set(mounts("prometheus"))


def test_grafana_starts_with_its_source_and_dashboard() -> None:
    (source,) = load(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    address = urlsplit(source["url"])
    assert address.hostname in SERVICES
    assert any(port.endswith(f":{address.port}") for port in SERVICES[address.hostname]["ports"])
    (provider,) = load(DEPLOY / "grafana/provisioning/dashboards/tenure.yaml")["providers"]
    shown = f"{provider['options']['path']}/model.json"
    assert mounts("grafana")[shown] == "./grafana/model.json"
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
    assert mounts("grafana")["/etc/grafana/provisioning"] == "./grafana/provisioning"


def test_the_images_are_built_from_what_is_there() -> None:
    sent = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    ]
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(PurePosixPath(name).is_relative_to(one) for one in sent), f"{name} is not sent to the builder"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [
        PurePosixPath(name).parts[0] for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *packages}
    assert needed <= set(copied)
    assert 'pip install ".[$EXTRAS]"' in DOCKERFILE
    chosen = re.search(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    told = re.search(r"--build-arg EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert chosen is not None
    assert told is not None
    extras = project["project"]["optional-dependencies"]
    assert {chosen[1], *told[1].split(",")} <= set(extras)
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert not re.search(r"\b(curl|wget)\b", DOCKERFILE)


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[str]:
    """The first line a child process prints; it is ended by SIGTERM, which it must take well."""
    pipe = subprocess.PIPE
    env = os.environ | environment
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()
            rest = process.stdout.read()
            assert process.wait(30) == 0, rest


def example(name: str) -> list[str]:
    return [sys.executable, str(DEPLOY / "examples" / name)]


def post(url: str, document: object) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(document).encode()), timeout=10) as reply:
        return json.load(reply)


def healthy(stage: str, port: int, url: str) -> bool:
    """What the image's own health check says of a server here."""
    command = [word.replace(f":{port}/", f":{urlsplit(url).port}/") for word in instruction(stage, "HEALTHCHECK")]
    return subprocess.run([sys.executable, *command[1:]], capture_output=True, check=False).returncode == 0


def test_rows_arrive(tmp_path: Path) -> None:
    """The image's command with the example's configuration, the example's server and its traffic, for real."""
    text = EXAMPLE.read_text()
    moved = {"/run/tenure/": f"{tmp_path}/", "/var/lib/tenure/": f"{tmp_path}/", "0.0.0.0:9464": "127.0.0.1:0"}
    for there, here in moved.items():
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "tenure.yaml").write_text(text)
    program = Path(sys.executable).with_name(instruction("agent", "ENTRYPOINT")[0])
    arguments = [word.replace("/etc/tenure", str(tmp_path)) for word in instruction("agent", "CMD")]
    address = f"unix:{tmp_path}/agent.sock"
    with started([str(program), *arguments]) as said:
        http = re.search(r"http://[\d.:]+", json.loads(said)["message"])
        assert http is not None
        assert healthy("agent", 9464, http[0])
        with started(example("server.py"), TENURE_AGENT=address, PORT="0") as line:
            url = line.split()[-1]
            assert healthy("example", 8000, url)
            options = ["--url", url, "--orders", "150", "--rate", "0", "--drift-after", "100"]
            subprocess.run([*example("traffic.py"), *options], check=True, timeout=60)
        status = ask(address, "status")
    assert status["models"] == {
        "fraud_detector": {"predictions": [{"version": "1", "role": "champion", "rows": 150}], "outcomes": 150}
    }
    assert not status["dropped"]
    assert not healthy("agent", 9464, http[0])


def test_the_server_answers_without_an_agent(tmp_path: Path) -> None:
    with started(example("server.py"), TENURE_AGENT=f"unix:{tmp_path}/nobody.sock", PORT="0") as line:
        url = line.split()[-1]
        order = {"order_id": "A17", "amount": 12.5, "country": "NL", "account_age_days": 400}
        assert 0.0 < post(f"{url}/predict", order)["score"] < 0.5
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(f"{url}/predict", {"order_id": "A18"})
        with refused.value as answer:
            assert answer.code == 400


def test_the_relay_of_a_pod_meets_its_server_and_knows_its_hub() -> None:
    config = parse_config(
        YAML(typ="safe").load(load(DEPLOY / "kubernetes/relay-config.yaml")["data"]["tenure.yaml"]), ""
    )
    pod = load(DEPLOY / "kubernetes/relay.yaml")["spec"]["template"]["spec"]
    (relay,), (server,) = pod["initContainers"], pod["containers"]
    mounted = {one["mountPath"]: one["name"] for one in relay["volumeMounts"]}
    assert server["env"] == [{"name": "TENURE_AGENT", "value": config.listen}]
    assert {one["mountPath"] for one in server["volumeMounts"]} <= set(mounted)
    assert {str(Path(file).parent) for file in config.upstream.files().values()} | {
        str(config.store.path.parent)
    } <= set(mounted)
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}
    assert relay["startupProbe"]["httpGet"]["port"] == config.http_address[1]
    assert relay["restartPolicy"] == "Always"


def test_the_example_configuration_loads() -> None:
    config = load_config(EXAMPLE)
    assert isinstance(config, Config)
    assert config.models["fraud_detector"].task == "binary"
