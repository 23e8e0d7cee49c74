"""Adds an exchange: its connector from the templates, the registry's line, the other files."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template

from services._runtime.exchanges import MANIFESTS, ExchangeManifest, read_manifest

TEMPLATES = Path(__file__).parent / "connector"
REGISTRY = "services/_runtime/exchanges.py"
SUFFIX = ".template"


def add_exchange(root: Path, name: str, title: str) -> list[Path]:
    """Add it to the tree at *root*; the files that were written.

    Raises:
        SystemExit: the name can't be a stream's, or the connector is there already.
    """
    folder = root / "services" / f"{name}_connector"
    if not re.fullmatch("[a-z][a-z0-9]*", name):
        raise SystemExit(f"{name!r}: expected a name of lower case letters and digits")
    if folder.exists():
        raise SystemExit(f"{folder} exists already")
    port = max(8003, *(each.health_port for each in MANIFESTS.values())) + 1
    words = {"name": name, "NAME": name.upper(), "class": name.capitalize(), "title": title}
    folder.mkdir()
    written = []
    for template in sorted(TEMPLATES.glob(f"*{SUFFIX}")):
        path = folder / template.name.removesuffix(SUFFIX)
        path.write_text(Template(template.read_text()).substitute(words, port=port))
        written.append(path)
    exchange = read_manifest(name, folder)
    for file, edit in EDITS.items():
        path = root / file
        path.write_text(edit(path.read_text(), exchange))
        written.append(path)
    return written


def _registry(text: str, exchange: ExchangeManifest) -> str:
    return re.sub(r"^(EXCHANGES = \(.*)\)$", rf'\1, "{exchange.name}")', text, flags=re.MULTILINE)


def _compose(text: str, exchange: ExchangeManifest) -> str:
    name, port = exchange.connector, exchange.health_port
    variables = "".join(f"      {each}: ${{{each}:-}}\n" for each in exchange.variables)
    block = (
        f"  {name}:\n    <<: *service\n    command: services.{name}\n"
        f'    ports: ["127.0.0.1:${{{exchange.port_variable}:-{port}}}:{port}"]\n'
        "    environment:\n      <<: [*every-service, *every-connector]\n"
        f"      HEALTH_PORT: {port}\n{variables}\n"
    )
    symbols = f"      {exchange.symbols_variable}: ${{{exchange.symbols_variable}:-}}\n"
    text = _before(text, "  indicators:\n    <<: *service\n", block)
    for after in (
        "MARKET_DATA_MAXLEN: ${MARKET_DATA_MAXLEN:-}\n      INDICATORS:",
        "EVENTS_MAXLEN: ${EVENTS_MAXLEN:-}\n      STRATEGIES:",
    ):
        text = _before(text, f"      {after}", symbols)
    return _before(text, ",indicators=http://indicators", f",{name}=http://{name}:{port}")


def _paper(text: str, exchange: ExchangeManifest) -> str:
    """The simulator doesn't have it, so paper mode doesn't start it."""
    keys = "".join(f'      {variable}: ""\n' for variable in exchange.credentials)
    block = (
        f"  {exchange.connector}:\n    profiles: [without-simulator]\n"
        f'    environment:\n      LIVE_TRADING: ""\n{keys}\n'
    )
    return _before(text, "  indicators:\n    environment:\n", block)


def _secure(text: str, exchange: ExchangeManifest) -> str:
    url = f"redis_url_{exchange.connector}"
    keys = [variable.lower() for variable in exchange.credentials]
    files = "".join(f"      {key.upper()}_FILE: /run/secrets/{key}\n" for key in keys)
    block = (
        f"  {exchange.connector}:\n    environment:\n      <<: *no-keys-here\n"
        f"      REDIS_URL_FILE: /run/secrets/{url}\n{files}"
        f"    secrets: [redis_ca, {', '.join([url, *keys])}]\n"
        "    networks: [default, redis, monitoring]\n\n"
    )
    text = _before(text, "\nservices:\n", "".join(f'  {key.upper()}: ""\n' for key in keys))
    text = _before(text, "  indicators:\n    environment:\n", block)
    secrets = "".join(
        f'  {key}: {{file: "${{SECRETS:-./secrets}}/{key}"}}\n' for key in (url, *keys)
    )
    return text + secrets


def _env_example(text: str, exchange: ExchangeManifest) -> str:
    """Each line goes under the same one of the newest exchange."""
    *_, newest = MANIFESTS.values()
    keys = "".join(f"#{variable}=\n" for variable in exchange.credentials)
    urls = "".join(f"#{url.variable}={url.live}\n" for url in exchange.urls)
    symbols = f"#{exchange.symbols_variable}={','.join(exchange.symbols)}\n"
    text = _under(text, newest.credentials[-1], f"\n{keys}")
    text = _under(text, newest.symbols_variable, symbols)
    text = _under(text, newest.urls[-1].variable, urls)
    old, new = (
        f"{each.connector}=http://127.0.0.1:{each.health_port}" for each in (newest, exchange)
    )
    text = _after(text, old, f",{new}")
    ports = f"{newest.health_port} {newest.title}"
    return _after(text, ports, f", {exchange.health_port} {exchange.title}")


def _under(text: str, variable: str, lines: str) -> str:
    (line,) = re.findall(f"^#{variable}=.*\n", text, re.MULTILINE)
    return _after(text, line, lines)


def _prometheus(text: str, exchange: ExchangeManifest) -> str:
    target = f'    static_configs: [{{targets: ["127.0.0.1:{exchange.health_port}"]}}]\n'
    job = f"  - job_name: {exchange.connector}\n{target}"
    return _before(text, "  - job_name: indicators\n", job)


def _alerts(text: str, exchange: ExchangeManifest) -> str:
    return _before(text, '|indicators"} == 0', f"|{exchange.connector}")


def _pyproject(text: str, exchange: ExchangeManifest) -> str:
    module = f"services.{exchange.connector}"
    text = _before(text, " | services.bot | ", f" | {module}")
    text = _after(text, "allowed_importers = [", f'"{module}", ')
    before, name, contract = text.partition('name = "Translation is pure"')
    first, start, rest = contract.partition("source_modules = [")
    return "".join((before, name, first, start, f'"{module}.translate", ', rest))


def _before(text: str, anchor: str, block: str) -> str:
    return _replaced(text, anchor, block + anchor)


def _after(text: str, anchor: str, block: str) -> str:
    return _replaced(text, anchor, anchor + block)


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise SystemExit(f"expected once, found {text.count(old)} times: {old!r}")
    return text.replace(old, new)


EDITS: Mapping[str, Callable[[str, ExchangeManifest], str]] = {
    REGISTRY: _registry,
    "docker-compose.yml": _compose,
    "docker-compose.paper.yml": _paper,
    "docker-compose.secure.yml": _secure,
    ".env.example": _env_example,
    "monitoring/prometheus.yml": _prometheus,
    "monitoring/alerts.yml": _alerts,
    "pyproject.toml": _pyproject,
}
