"""What the files that aren't Python must say about an exchange, compared with its manifest."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from services._runtime.exchanges import ExchangeManifest

SIMULATOR = "exchange_simulator:8900"


def faults(root: Path, exchange: ExchangeManifest) -> list[str]:
    """One line for each fault: the file, the place in it, and what must stand there."""
    return [
        f"{file}: {fault}"
        for file, check in CHECKS.items()
        for fault in check((root / file).read_text(encoding="utf-8"), exchange)
    ]


def _compose(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    name, port = exchange.connector, exchange.health_port
    passed_on = {variable: f"${{{variable}:-}}" for variable in exchange.variables}
    symbols = {exchange.symbols_variable: f"${{{exchange.symbols_variable}:-}}"}
    services = yaml.safe_load(text)["services"]
    connector = {
        "command": f"services.{name}",
        "ports": [f"127.0.0.1:${{{exchange.port_variable}:-{port}}}:{port}"],
        "environment": {"HEALTH_PORT": port, **passed_on},
    }
    yield from _lacks(services, {name: connector}, "services")
    readers = {reader: {"environment": symbols} for reader in ("indicators", "bot")}
    yield from _lacks(services, readers, "services")
    url = f"{name}=http://{name}:{port}"
    if url not in services["tradectl"]["environment"]["HEALTH_URLS"].split(","):
        yield f"services.tradectl.environment.HEALTH_URLS must hold {url}"


def _paper(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    """No real key, address or live switch reaches a connector in paper mode."""
    services = yaml.safe_load(text)["services"]
    environment: dict[str, Any] = {"LIVE_TRADING": ""}
    if exchange.has_simulator:
        environment |= {url.variable: url.simulated(SIMULATOR) for url in exchange.urls}
    yield from _lacks(services, {exchange.connector: {"environment": environment}}, "services")
    found = services.get(exchange.connector, {}).get("environment", {})
    for variable in exchange.credentials:
        if "$" in found.get(variable, "$"):
            where = f"services.{exchange.connector}.environment.{variable}"
            yield f"{where} must be the simulator's key, or empty if there is no simulator"


def _secure(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    """Keys and Redis passwords come from files, and the connector is on the networks it needs."""
    files = yaml.safe_load(text)
    redis_url = f"redis_url_{exchange.connector}"
    secrets = [redis_url, *(variable.lower() for variable in exchange.credentials)]
    connector = {
        "environment": {
            **dict.fromkeys(("REDIS_URL", *exchange.credentials), ""),
            "REDIS_URL_FILE": f"/run/secrets/{redis_url}",
            **{f"{name}_FILE": f"/run/secrets/{name.lower()}" for name in exchange.credentials},
        },
        "secrets": ["redis_ca", *secrets],
        "networks": ["default", "redis", "monitoring"],
    }
    yield from _lacks(files, {"services": {exchange.connector: connector}})
    wanted = {name: {"file": f"${{SECRETS:-./secrets}}/{name}"} for name in secrets}
    yield from _lacks(files, {"secrets": wanted})


def _env_example(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    defaults = {
        exchange.symbols_variable: ",".join(exchange.symbols),
        **{url.variable: url.live for url in exchange.urls},
    }
    for variable in exchange.variables:
        default = re.escape(defaults[variable]) + "$" if variable in defaults else ""
        if not re.search(f"^#{variable}={default}", text, re.MULTILINE):
            yield f"there must be a line #{variable}={defaults.get(variable, '')}"
    url = f"{exchange.connector}=http://127.0.0.1:{exchange.health_port}"
    if url not in text:
        yield f"HEALTH_URLS must hold {url}"
    if f"{exchange.health_port} {exchange.title}" not in text:
        yield f"HEALTH_PORT's defaults must name {exchange.health_port} {exchange.title}"


def _prometheus(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    jobs = yaml.safe_load(text)["scrape_configs"]
    targets = [{"targets": [f"127.0.0.1:{exchange.health_port}"]}]
    wanted = {"job_name": exchange.connector, "static_configs": targets}
    if wanted not in jobs:
        yield f"scrape_configs must hold {wanted}"


def _alerts(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    watched = {
        name for names in re.findall(r'up\{job=~"([^"]+)"', text) for name in names.split("|")
    }
    if exchange.connector not in watched:
        yield f'up{{job=~"..."}} must name {exchange.connector}'


def _pyproject(text: str, exchange: ExchangeManifest) -> Iterator[str]:
    """Layers, who imports the connector kit, pure translation, and where the SDK is imported."""
    module = f"services.{exchange.connector}"
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    layers = {name for each in contracts for row in each.get("layers", ()) for name in _row(row)}
    if module not in layers:
        yield f"the import contract 'Arrows point down' must name {module}"
    kit = [each for each in contracts if "services._connector_kit" in _names(each, "protected")]
    if not any(module in each["allowed_importers"] for each in kit):
        yield f"the allowed_importers of services._connector_kit must name {module}"
    pure = [each for each in contracts if each["name"] == "Translation is pure"]
    if not any(f"{module}.translate" in each["source_modules"] for each in pure):
        yield f"the import contract 'Translation is pure' must name {module}.translate"
    sdks = [each for each in contracts if exchange.sdk in _names(each, "forbidden")]
    importer = [f"{module}.client -> {exchange.sdk}"]
    if exchange.sdk and not any(each.get("ignore_imports") == importer for each in sdks):
        yield f"an import contract must forbid {exchange.sdk} but for {importer[0]}"


def _row(layer: str) -> list[str]:
    return [name.strip() for name in layer.split("|")]


def _names(contract: Mapping[str, Any], kind: str) -> list[str]:
    names: list[str] = contract.get(f"{kind}_modules", [])
    return names


def _lacks(found: Any, wanted: Mapping[str, Any], *above: str) -> Iterator[str]:
    """Where *found* has another value than *wanted*; what it has beyond that doesn't matter."""
    for name, value in wanted.items():
        here = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(value, Mapping):
            yield from _lacks(here, value, *above, name)
        elif here != value:
            yield f"{'.'.join((*above, name))} must be {value!r}"


Check = Callable[[str, ExchangeManifest], Iterable[str]]

CHECKS: Mapping[str, Check] = {
    "docker-compose.yml": _compose,
    "docker-compose.paper.yml": _paper,
    "docker-compose.secure.yml": _secure,
    ".env.example": _env_example,
    "monitoring/prometheus.yml": _prometheus,
    "monitoring/alerts.yml": _alerts,
    "pyproject.toml": _pyproject,
}
