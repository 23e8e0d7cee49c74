"""The files that aren't Python say of each exchange what its manifest says."""

from dataclasses import replace

import pytest

from services._runtime.exchanges import MANIFESTS, ExchangeManifest
from tests.support.exchange_files import CHECKS, faults
from tests.support.processes import ROOT

BINANCE = MANIFESTS["binance"]


def files_with_faults(exchange: ExchangeManifest) -> set[str]:
    """The files that disagree with the manifest."""
    return {fault.partition(": ")[0] for fault in faults(ROOT, exchange)}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_files_agree_with_the_manifest(name: str) -> None:
    """Each line of a failure says which file must change, where, and to what."""
    assert faults(ROOT, MANIFESTS[name]) == []


def test_an_exchange_that_no_file_names_has_a_fault_in_every_file() -> None:
    """So a new exchange learns of each file that it must be added to."""
    urls = (replace(BINANCE.urls[0], variable="NOWHERE_REST_URL"),)
    nowhere = replace(BINANCE, name="nowhere", title="Nowhere", urls=urls, sdk="nowhere")
    assert files_with_faults(nowhere) == set(CHECKS)
    command = "services.nowhere_connector.command must be 'services.nowhere_connector'"
    assert f"docker-compose.yml: {command}" in faults(ROOT, nowhere)


@pytest.mark.parametrize(
    ("changed", "files"),
    [
        (
            replace(BINANCE, health_port=8009),
            {"docker-compose.yml", ".env.example", "monitoring/prometheus.yml"},
        ),
        (replace(BINANCE, symbols=("SOL/USDT",)), {".env.example"}),
        (replace(BINANCE, settings=("BINANCE_MODE",)), {"docker-compose.yml", ".env.example"}),
        (
            replace(BINANCE, credentials=(*BINANCE.credentials, "BINANCE_PASSPHRASE")),
            {file for file in CHECKS if file.startswith(("docker-compose", ".env"))},
        ),
        (
            replace(BINANCE, urls=(replace(BINANCE.urls[0], live="https://a.b", simulator="/v2"),)),
            {"docker-compose.paper.yml", ".env.example"},
        ),
        (replace(BINANCE, sdk="ccxt"), {"pyproject.toml"}),
    ],
    ids=["port", "symbols", "settings", "credentials", "urls", "sdk"],
)
def test_a_change_of_the_manifest_is_a_fault_in_each_file_that_repeats_it(
    changed: ExchangeManifest, files: set[str]
) -> None:
    """And in no other file."""
    assert files_with_faults(changed) == files
