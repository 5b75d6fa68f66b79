"""What the files of a deployment set are settings of Conduit, with values that it takes, and safe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conduit.environment import described, load_settings
from conduit.errors import ConfigError
from tools.deploy import settings

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {each.name for each in described()}
# What somebody has to choose.
CHOSEN = {
    "POSTGRES_PASSWORD": "chosen-for-postgresql",
    "INTERNAL_SECRET": "chosen-for-the-nodes",
    "CORS_ORIGIN": "https://app.example",
}
ADDRESSES = {
    "DATABASE_URL": "postgresql://conduit:secret@postgres:5432/conduit",
    "REDIS_URL": "redis://redis:6379/0",
    "INTERNAL_SECRET": "chosen-for-the-nodes",
}


def local() -> dict[str, dict[str, str]]:
    return settings.of_compose(ROOT, {})


def production() -> dict[str, dict[str, str]]:
    return settings.of_compose(ROOT, CHOSEN, settings.PRODUCTION)


def kubernetes() -> dict[str, str]:
    """As the pod conduit-0 has it."""
    own = {**ADDRESSES, "NODE_ID": "conduit-0"}
    found = {name: value or own[name] for name, value in settings.of_kubernetes(ROOT).items()}
    node_addr = found["NODE_ADDR"].replace("$(NODE_ID)", found["NODE_ID"])
    return {**found, "NODE_ADDR": node_addr}


def railway() -> dict[str, str]:
    """With what Railway sets, and what docs/deploy.md says to set by hand."""
    section = (ROOT / "docs" / "deploy.md").read_text().split("## Railway")[1].split("\n## ")[0]
    by_hand = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert {"INTERNAL_SECRET", "CORS_ORIGIN", "NODE_ADDR", "DEFAULT_API_KEY"} <= set(by_hand)
    values = {
        **ADDRESSES,
        "PORT": "8080",
        "CORS_ORIGIN": "https://app.example",
        "NODE_ADDR": "conduit.railway.internal:8080",
        "DEFAULT_API_KEY": "chosen-for-everybody",
    }
    return {**{name: values[name] for name in by_hand}, **settings.of_railway(ROOT)}


CASES = {
    "compose, server-1": lambda: local()["server-1"],
    "compose, server-2": lambda: local()["server-2"],
    "production, server-1": lambda: production()["server-1"],
    "production, server-2": lambda: production()["server-2"],
    "kubernetes": kubernetes,
    "unit": lambda: settings.of_unit(ROOT),
    "railway": railway,
}


@pytest.mark.parametrize("case", CASES)
def test_every_name_is_a_setting_and_the_values_can_be_used_without_a_warning(case):
    environment = CASES[case]()
    assert environment.keys() <= KNOWN
    assert load_settings(environment).warnings == ()


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("compose")])
def test_what_others_than_you_reach_asks_for_keys(case):
    environment = load_settings(CASES[case]())
    assert environment.enable_auth
    if case == "unit":
        assert environment.host == "127.0.0.1"
    if case.startswith("production"):
        assert environment.cors_origin == "https://app.example"


def test_the_nodes_of_a_compose_file_share_all_but_their_names():
    for made in (local(), production()):
        one, two = ({**made[name]} for name in settings.NODES)
        assert (one.pop("NODE_ID"), two.pop("NODE_ID")) == settings.NODES
        assert (one.pop("NODE_ADDR"), two.pop("NODE_ADDR")) == ("server-1:8080", "server-2:8080")
        assert one == two
        database = made["postgres"]
        assert database.keys() == {"POSTGRES_PASSWORD"}
        password = database["POSTGRES_PASSWORD"]
        assert one["DATABASE_URL"] == f"postgresql://conduit:{password}@postgres:5432/conduit"


def test_in_production_nothing_starts_before_the_secrets_are_chosen():
    for name in CHOSEN:
        with pytest.raises(settings.Missing, match=name):
            settings.of_compose(ROOT, {**CHOSEN, name: ""}, settings.PRODUCTION)
    words = json.dumps(production())
    assert "for-this-machine-only" not in words


def test_the_compose_file_is_that_of_the_original_and_publishes_on_this_machine_only():
    services = settings.yaml(ROOT / settings.COMPOSE)["services"]
    assert services.keys() == {*settings.NODES, "postgres", "redis"}
    ports = {name: has.get("ports", []) for name, has in services.items()}
    assert ports == {
        "server-1": ["127.0.0.1:8080:8080"],
        "server-2": ["127.0.0.1:8081:8080"],
        "postgres": [],
        "redis": [],
    }
    over = settings.yaml(ROOT / settings.PRODUCTION)["services"]
    assert not [name for name, has in over.items() if "ports" in has]


def test_a_node_is_given_the_time_that_it_takes_to_end():
    compose = settings.yaml(ROOT / settings.COMPOSE)["services"]
    over = settings.yaml(ROOT / settings.PRODUCTION)["services"]
    unit = (ROOT / settings.UNIT).read_text()
    railway_waits_s = json.loads((ROOT / settings.RAILWAY).read_text())["deploy"]["drainingSeconds"]
    waits_s = {
        **{f"compose, {name}": compose[name]["stop_grace_period"] for name in settings.NODES},
        **{f"production, {name}": over[name]["stop_grace_period"] for name in settings.NODES},
        "kubernetes": settings.stateful_set(ROOT)["spec"]["template"]["spec"][
            "terminationGracePeriodSeconds"
        ],
        "unit": settings.directives(unit, "TimeoutStopSec")[0],
        "railway": railway_waits_s,
    }
    for case, waited in waits_s.items():
        found = load_settings(CASES[case]())
        needed_s = found.drain_delay_s + found.shutdown_timeout_s
        assert int(str(waited).removesuffix("s")) > needed_s, case


def test_probes_ask_the_paths_that_say_what_they_want_to_know():
    (container,) = settings.stateful_set(ROOT)["spec"]["template"]["spec"]["containers"]
    asked = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")
    }
    assert asked == {"liveness": "/health", "readiness": "/health/ready"}
    deploy = json.loads((ROOT / settings.RAILWAY).read_text())["deploy"]
    assert deploy["healthcheckPath"] == "/health/ready"
    noticed_s = container["readinessProbe"]["periodSeconds"] * (
        container["readinessProbe"]["failureThreshold"] + 1
    )
    assert noticed_s < load_settings(kubernetes()).drain_delay_s


def test_kubernetes_adds_no_variables_for_the_services_that_are_named_like_settings():
    """A Service `conduit` makes CONDUIT_PORT=tcp://…, with which no server starts."""
    pod = settings.stateful_set(ROOT)["spec"]["template"]["spec"]
    services = [each["metadata"]["name"] for each in settings.documents(ROOT / settings.KUBERNETES)]
    assert "conduit" in services
    assert pod["enableServiceLinks"] is False
    with pytest.raises(ConfigError, match="CONDUIT_PORT"):
        load_settings({"CONDUIT_PORT": "tcp://10.0.0.1:80"})


def test_the_names_of_kubernetes_lead_to_each_other():
    made = settings.documents(ROOT / settings.KUBERNETES)
    by_name = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in made}
    pods = by_name["StatefulSet", "conduit"]
    labels = pods["template"]["metadata"]["labels"]
    assert pods["selector"]["matchLabels"] == labels
    assert by_name["PodDisruptionBudget", "conduit"]["selector"]["matchLabels"] == labels
    headless = by_name["Service", pods["serviceName"]]
    assert headless["clusterIP"] == "None"
    address = kubernetes()["NODE_ADDR"]
    assert address == f"conduit-0.{pods['serviceName']}:{headless['ports'][0]['port']}"
    (container,) = pods["template"]["spec"]["containers"]
    port = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert port["http"] == load_settings({}).port == headless["ports"][0]["port"]
    for name in ("conduit", "conduit-nodes"):
        assert by_name["Service", name]["selector"] == labels
        assert by_name["Service", name]["ports"][0]["targetPort"] == "http"


def test_the_unit_does_not_start_again_what_cannot_be_used():
    """With exit code 2, as docs/configuration.md says."""
    text = (ROOT / settings.UNIT).read_text()
    assert settings.directives(text, "RestartPreventExitStatus") == ["2"]
    told = (ROOT / "docs" / "configuration.md").read_text()
    assert "All problems are reported at once, one line for each, and the exit code is 2." in told


def test_what_is_built_is_there():
    services = settings.yaml(ROOT / settings.COMPOSE)["services"]
    assert {services[name]["build"] for name in settings.NODES} == {"."}
    railway_file = json.loads((ROOT / settings.RAILWAY).read_text())
    assert (ROOT / railway_file["build"]["dockerfilePath"]).is_file()
