"""The privileges of each container: checks of compose files, Dockerfile and .dockerignore."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from services._local.images import IMAGES
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import Settings, load
from services.binance_connector.settings import BinanceSettings
from services.bot.settings import BotSettings
from services.indicators.settings import IndicatorSettings
from services.luno_connector.settings import LunoSettings
from tests.support.memory import CONTAINER, MB
from tests.support.processes import ROOT

BASE, PAPER, SECURE = (f"docker-compose{part}.yml" for part in ("", ".paper", ".secure"))
MODES = [(BASE,), (BASE, PAPER), (BASE, SECURE), (BASE, SECURE, PAPER)]
CONNECTORS = [each.connector for each in MANIFESTS.values()]
SUITE_IMAGE = "exchange-connector-suite"
VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")
# Options that would remove the limits; none is needed.
FORBIDDEN = (
    *("privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"),
    *("device_cgroup_rules", "volumes_from", "sysctls", "cgroup_parent", "env_file"),
)
Service = Mapping[str, Any]


def compose(*files: str) -> dict[str, Any]:
    """The files, merged as compose merges them."""
    together: dict[str, Any] = {}
    for file in files:
        together = _merged(together, yaml.safe_load((ROOT / file).read_text()))
    return together


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        keys = below | above
        return {
            key: _merged(below[key], above[key]) if key in below and key in above else keys[key]
            for key in keys
        }
    return above


def services(files: tuple[str, ...]) -> dict[str, Service]:
    """By name."""
    found: dict[str, Service] = compose(*files)["services"]
    wanted = {"redis", *CONNECTORS, "indicators", "bot", "tradectl"}
    assert set(found) == wanted | ({"exchange_simulator"} if PAPER in files else set())
    return found


@pytest.mark.parametrize("files", MODES, ids="+".join)
def test_every_container_has_limits_and_no_privileges(files: tuple[str, ...]) -> None:
    """Tradectl's container too; an overriding file removes nothing."""
    for name, service in services(files).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"] == ["/tmp"], name
        if name == "redis":
            assert _default(service["mem_limit"]) == "2g"
        else:
            assert service["mem_limit"] == f"{CONTAINER // MB}m", name
        assert _default(service["cpus"]) == "1.0", name
        assert 0 < service["pids_limit"] <= 128, name
        assert service["ulimits"] == {"core": 0}, name
        assert service["init"] is True, name
        assert {"max-size", "max-file"} == service["logging"]["options"].keys(), name
        assert [word for word in FORBIDDEN if word in service] == [], name
        assert service["restart"] == ("no" if name == "tradectl" else "unless-stopped"), name


@pytest.mark.parametrize("files", MODES, ids="+".join)
def test_every_container_runs_without_privileges(files: tuple[str, ...]) -> None:
    """Redis with its named user; the suite with the numeric user of the Dockerfile's last stage."""
    for name, service in services(files).items():
        if name == "redis":
            assert service["user"] == "redis"
        else:
            assert "user" not in service, name
            assert _image(service) == ("SUITE_IMAGE", SUITE_IMAGE), name
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("files", MODES, ids="+".join)
def test_ports_are_local_and_mounts_are_read_only(
    files: tuple[str, ...],
) -> None:
    """Only Redis writes to a volume; the engine's socket is never mounted."""
    data = "paper-redis-data:/data" if PAPER in files else "redis-data:/data"
    # The folder is in the repository: one created by the engine would belong to root.
    plugins = {
        "type": "bind",
        "source": "./plugins",
        "target": "/plugins",
        "read_only": True,
    }
    assert (ROOT / "plugins" / ".gitkeep").is_file()
    volumes: dict[str, list[Any]] = {"redis": [data], "bot": [plugins], "indicators": [plugins]}
    for name, service in services(files).items():
        ports = service.get("ports", [])
        assert [port for port in ports if not port.startswith("127.0.0.1:")] == [], name
        assert bool(ports) == (name != "tradectl")
        assert service.get("volumes", []) == volumes.get(name, []), name


@pytest.mark.parametrize("files", MODES, ids="+".join)
def test_every_image_is_a_variable_that_can_be_a_digest(files: tuple[str, ...]) -> None:
    """`make images` has the digest of each image that is not built here."""
    found = dict(_image(service) for service in services(files).values())
    build = [service["build"] for service in services(files).values() if "build" in service]
    (base,) = [each["args"].items() for each in build]
    for name, value in base:
        variable = VARIABLE.fullmatch(value)
        assert variable is not None
        assert variable.group(1) == name
        found[name] = variable.group(2)
    assert found == {**IMAGES, "SUITE_IMAGE": SUITE_IMAGE}


@pytest.mark.parametrize("files", MODES, ids="+".join)
def test_a_container_that_is_not_ready_is_unhealthy_and_continues(
    files: tuple[str, ...],
) -> None:
    """After a start period of a minute; no service waits for it, and nothing restarts it.

    tests/integration/test_retries.py runs the check on a real service.
    """
    for name, service in services(files).items():
        # Start order: Redis first; every service waits itself for what it needs.
        assert service.get("depends_on", []) in ([], ["redis"]), name
        check = service["healthcheck"]
        if name in ("redis", "tradectl"):
            continue
        assert check == services((BASE,))["bot"]["healthcheck"], name
        assert "GET /ready " in check["test"][-1], name
        assert check["start_period"] == "60s", name
        assert (check["interval"], check["retries"]) == ("10s", 3), name


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("binance_connector", BinanceSettings, "order_book_depth = 7"),
        ("luno_connector", LunoSettings, "risk_price_collar = 0.7"),
        ("indicators", IndicatorSettings, 'indicators = ["luno:XBT/ZAR:rsi_14"]'),
        ("bot", BotSettings, 'strategies = ["do_nothing:luno:XBT/ZAR:1"]'),
    ],
)
def test_suite_toml_may_set_variables_that_compose_leaves_empty(
    name: str,
    settings: type[Settings],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """From the working folder of the image; values set by compose win."""
    monkeypatch.chdir(tmp_path)
    for variable, value in services((BASE,))[name]["environment"].items():
        default = VARIABLE.fullmatch(str(value))
        monkeypatch.setenv(variable, default.group(2) if default else str(value))
    (tmp_path / "suite.toml").write_text(f"health_port = 1\n[{name}]\n{line}\n")
    found = load(settings)
    field = line.partition(" ")[0]
    assert field in found.model_fields_set
    assert getattr(found, field) != settings.model_fields[field].get_default(
        call_default_factory=True
    )
    assert found.model_dump()["health_port"] > 1
    assert "WORKDIR /app\n" in (ROOT / "Dockerfile").read_text()
    assert ":/app/suite.toml:ro" in (ROOT / "docs/settings.md").read_text()


def test_every_stage_of_the_image_starts_from_the_variable() -> None:
    """Its default is the default of compose."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert stages == ["${PYTHON_IMAGE}"] * 2
    arguments = re.findall(r"^ARG (.*)$", dockerfile, re.MULTILINE)
    assert arguments == [f"PYTHON_IMAGE={IMAGES['PYTHON_IMAGE']}", "COMMIT="]
    assert "--require-hashes" in dockerfile


NETWORKS = {
    "redis": {"redis", "published"},
    **{name: {"default", "redis", "monitoring"} for name in CONNECTORS},
    "indicators": {"redis", "monitoring", "published"},
    "bot": {"redis", "monitoring", "published"},
    "tradectl": {"redis", "monitoring"},
    "exchange_simulator": {"default", "monitoring"},
}


@pytest.mark.parametrize("files", [MODES[2], MODES[3]], ids="+".join)
def test_in_secure_mode_only_connectors_reach_the_exchanges(files: tuple[str, ...]) -> None:
    """Each kind of traffic has its own network; one of them leads outside."""
    for name, service in services(files).items():
        assert set(service.get("networks", [])) == NETWORKS[name], name
    networks = compose(*files)["networks"]
    assert set(networks) == set.union(*NETWORKS.values())
    outside = [name for name, network in networks.items() if not _stays_inside(network or {})]
    assert outside == ["default"]
    assert networks["redis"]["internal"] is True
    assert networks["monitoring"]["internal"] is True


def _stays_inside(network: Mapping[str, Any]) -> bool:
    masquerade = network.get("driver_opts", {}).get(
        "com.docker.network.bridge.enable_ip_masquerade"
    )
    return network.get("internal") is True or masquerade == "false"


def test_only_code_and_the_lock_file_are_in_the_build_context() -> None:
    """Keys, data and tests are not sent to the engine."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    first, *others = [line for line in lines if line and not line.startswith("#")]
    assert first == "*"
    named = {line for line in others if line.startswith("!")}
    assert named == {"!requirements.lock", "!common_models", "!services"}
    assert {"services/_local", "**/__pycache__"} <= set(others)


def _default(value: str) -> str:
    variable = VARIABLE.fullmatch(value)
    assert variable is not None, f"{value} can't be changed by the environment"
    return variable.group(2)


def _image(service: Service) -> tuple[str, str]:
    variable = VARIABLE.fullmatch(service["image"])
    assert variable is not None, f"{service['image']} has no variable"
    return variable.group(1), variable.group(2)
