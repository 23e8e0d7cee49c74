"""Each row of docs/troubleshooting.md, provoked at both exchanges: what is told says what helps."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent
from common_models.stream_names import EventStream, connector
from services._connector_kit import venue_answers, web_socket
from services._connector_kit.errors import RateLimitedError, TransientError
from services._connector_kit.venue_stats import SocketStats
from services._connector_kit.web_socket import connect
from services._local.redis_server import RedisServer
from services._runtime import fault_explanations
from services._runtime.fault_explanations import FaultExplanation
from services.binance_connector import client as binance_client
from services.binance_connector.client import open_binance
from services.binance_connector.settings import BinanceSettings
from services.luno_connector import client as luno_client
from services.luno_connector.client import open_luno
from services.luno_connector.settings import LunoSettings
from tests.integration.tradectl.hand import tradectl
from tests.support.eventually import eventually_async
from tests.support.network.company_proxy import certificate, company_proxy, in_tls, server_context
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, running
from tests.support.venues.canned_http import canned_server
from tests.support.venues.simulated import BINANCE, LUNO_WITHOUT_KEY, Venue, report

RESTRICTED = (
    b'{"code":0,"msg":"Service unavailable from a restricted location according to '
    b"'b. Eligibility' in https://www.binance.com/en/terms.\"}"
)
PAGE = b"<!DOCTYPE html><html><head><title>403 Forbidden</title></head></html>"
UPKEEP = b"<html><head><title>We are upgrading</title></head></html>"

Ask = Callable[[], Awaitable[object]]


@asynccontextmanager
async def binance(url: str, proxy: str = "") -> AsyncIterator[Ask]:
    """Its real REST client, and something to ask."""
    settings = BinanceSettings.model_construct(binance_rest_url=f"{url}/api", https_proxy=proxy)
    async with open_binance(settings) as client:
        yield lambda: client.depth("BTCUSDT", 5)


@asynccontextmanager
async def luno(url: str, proxy: str = "") -> AsyncIterator[Ask]:
    """The same of Luno."""
    settings = LunoSettings.model_construct(luno_rest_url=url, https_proxy=proxy)
    async with open_luno(settings) as client:
        yield lambda: client.tickers(["XBTZAR"])


@asynccontextmanager
async def socket(url: str, proxy: str = "") -> AsyncIterator[Ask]:
    """The socket that all streams use."""
    stats = SocketStats(proxy=proxy or None)
    yield lambda: connect(url.replace("http", "ws", 1), lambda _: None, stats=stats)


VENUES = {"binance": binance, "luno": luno}
EVERYONE = {**VENUES, "socket": socket}

both_venues = pytest.mark.parametrize("venue", VENUES)
everyone = pytest.mark.parametrize("venue", EVERYONE)


async def told(ask: Ask, explanation: FaultExplanation) -> str:
    """What is told of an answer that may pass; it says what it means and what helps."""
    with pytest.raises(TransientError) as caught:
        await ask()
    said = str(caught.value)
    assert explanation.cause in said
    assert explanation.remedy in said
    assert len(said) < 500
    return said


def test_the_documents_table_is_what_the_connectors_say() -> None:
    """Word for word: whoever looks for a sentence of the log finds it."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if "|" in line]
    documented = {tuple(row[1:3]) for row in rows}
    named = {m for m in vars(fault_explanations).values() if isinstance(m, FaultExplanation)}
    assert len(named) >= 12
    assert named == set(fault_explanations.EXPLANATIONS)
    assert named <= documented


@both_venues
@pytest.mark.parametrize(
    ("status", "body", "explanation", "words"),
    [
        (451, RESTRICTED, fault_explanations.RESTRICTED, "restricted location according to"),
        (403, PAGE, fault_explanations.FIREWALL, "403 Forbidden"),
        (503, UPKEEP, fault_explanations.DOWN, "We are upgrading"),
        (502, b"", fault_explanations.DOWN, "502"),
        (200, PAGE, fault_explanations.PAGE, ""),
        (404, PAGE, fault_explanations.WRONG_URL, "404"),
        (301, b"", fault_explanations.WRONG_URL, "301"),
    ],
)
async def test_an_answer_that_the_exchange_does_not_document_says_what_it_means(
    venue: str, status: int, body: bytes, explanation: FaultExplanation, words: str
) -> None:
    """With the sentence that came, or the title of the page."""
    async with canned_server() as server, VENUES[venue](server.url) as ask:
        server.answers(status, body)
        said = await told(ask, explanation)
        assert words in said
        assert "<" not in said


@both_venues
@pytest.mark.parametrize(
    ("status", "explanation"), [(418, fault_explanations.BANNED), (429, fault_explanations.LIMITED)]
)
@pytest.mark.parametrize("header", [{"Retry_After": "7"}, {}], ids=["with a time", "without"])
async def test_a_ban_says_when_it_is_over(
    venue: str, status: int, explanation: FaultExplanation, header: dict[str, str]
) -> None:
    """By the exchange's own time, or by ours where it names none."""
    async with canned_server() as server, VENUES[venue](server.url) as ask:
        server.answers(status, b"<html>slow down</html>", **header)
        with pytest.raises(RateLimitedError) as caught:
            await ask()
    wait = 7 if header else {"binance": 60, "luno": 10}[venue]
    assert caught.value.retry_after == wait
    assert f"not before {wait} s" in str(caught.value)
    assert str(explanation) in str(caught.value)


@pytest.mark.parametrize(
    ("venue", "body", "explanation"),
    [
        (
            "binance",
            b'{"code":-1021,"msg":"Timestamp for this request..."}',
            fault_explanations.TIME,
        ),
        ("binance", b'{"code":-1008,"msg":"Server is overloaded."}', fault_explanations.DOWN),
        ("luno", b'{"error_code":"ErrDeadlineExceeded","error":"late"}', fault_explanations.TIME),
        ("luno", b'{"error_code":"ErrUnderMaintenance","error":"soon"}', fault_explanations.DOWN),
    ],
)
async def test_a_documented_code_that_says_little_is_explained_too(
    venue: str, body: bytes, explanation: FaultExplanation
) -> None:
    """A clock that is wrong, and maintenance, by the exchange's own codes."""
    async with canned_server() as server, VENUES[venue](server.url) as ask:
        server.answers(400, body)
        with pytest.raises(Exception, match=re.escape(str(explanation))):
            await ask()


@everyone
async def test_a_host_name_that_does_not_resolve_is_reported(venue: str) -> None:
    """DNS."""
    async with EVERYONE[venue]("https://no-such-exchange.invalid") as ask:
        said = await told(ask, fault_explanations.NO_NAME)
    assert "can't resolve no-such-exchange.invalid (DNS)" in said


@everyone
async def test_an_address_that_refuses_connections_is_reported(venue: str) -> None:
    """A firewall of ours, or a wrong port."""
    port = quiet_port()
    async with EVERYONE[venue](f"http://127.0.0.1:{port}") as ask:
        said = await told(ask, fault_explanations.UNREACHABLE)
    assert f"127.0.0.1:{port} refuses the connection" in said


@everyone
async def test_an_exchange_that_stays_silent(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeout."""
    monkeypatch.setattr(binance_client, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(luno_client, "TIMEOUTS", (0.2, 0.2))
    monkeypatch.setattr(web_socket, "CONNECT_TIMEOUT", 0.2)
    async with canned_server() as server, EVERYONE[venue](server.url) as ask:
        server.hang = True
        said = await told(ask, fault_explanations.UNREACHABLE)
    assert "doesn't answer in time" in said


@everyone
async def test_an_untrusted_certificate_is_reported(venue: str, tmp_path: Path) -> None:
    """A proxy that opens TLS, or a clock that is years off."""
    context = server_context(certificate(tmp_path, "IP:127.0.0.1"))
    async with (
        in_tls(quiet_port(), context) as port,
        EVERYONE[venue](f"https://127.0.0.1:{port}") as ask,
    ):
        said = await told(ask, fault_explanations.NO_TRUST)
        assert f"no trusted TLS with 127.0.0.1:{port}" in said
        assert "self-signed certificate" in said or "self signed certificate" in said


@everyone
@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses(venue: str, status: int) -> None:
    """Its status is told; of its URL neither user nor password."""
    async with company_proxy(status=status) as proxy:
        url = proxy.url.replace("//", "//ann:s3cret@")
        async with EVERYONE[venue]("https://api.exchange.test", url) as ask:
            said = await told(ask, fault_explanations.PROXY)
    assert str(status) in said
    assert "s3cret" not in said
    assert proxy.tunnels == []


@everyone
async def test_a_proxy_that_is_not_there(venue: str) -> None:
    """The exchange's name is not what is wrong."""
    nobody = f"http://127.0.0.1:{quiet_port()}"
    async with EVERYONE[venue]("https://api.exchange.test", nobody) as ask:
        await told(ask, fault_explanations.PROXY)


@pytest.mark.parametrize("status", [301, 403, 404, 451, 503])
async def test_a_handshake_that_is_refused_says_what_it_means(status: int) -> None:
    """Sockets are opened at the same gates."""
    async with canned_server() as server, socket(server.url) as ask:
        server.answers(status, PAGE)
        explanation = venue_answers.by_status(status)
        assert explanation is not None
        await told(ask, explanation)


@pytest.mark.parametrize("venue", [BINANCE, LUNO_WITHOUT_KEY], ids=lambda venue: venue.exchange)
async def test_a_restricted_location_is_shown_by_ready_the_status_the_log_and_doctor(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """A first start on a hosted machine: `/ready`, `connector_status`, the log and the doctor."""
    health_port = quiet_port()
    async with canned_server() as server:
        server.answers(451, RESTRICTED)
        port = int(server.url.rpartition(":")[2])
        environment = venue.environment(port, redis_server.url, health_port)
        async with running(venue.module, environment, tmp_path) as service:

            async def says_so() -> bool:
                stream = str(EventStream(connector(venue.exchange), "connector_status"))
                entries: Any = await redis.xrevrange(stream, count=1)
                if not entries:
                    return False
                event = ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])
                said = event.not_ready.get("exchange", "")
                return str(fault_explanations.RESTRICTED) in said and not event.trading

            await eventually_async(says_so)
            _, body = await report(health_port)
            assert str(fault_explanations.RESTRICTED) in body["parts"]["exchange"]
            assert "restricted location according to" in body["parts"]["exchange"]
            assert str(fault_explanations.RESTRICTED) in service.log.read_text()
            doctor = await tradectl(redis_server.url, "doctor", "--json")
            (check,) = [c for c in doctor.json if c["check"] == f"{venue.module} exchange"]
            assert str(fault_explanations.RESTRICTED) in check["what"]
            assert check["fix"] == fault_explanations.RESTRICTED.remedy
            assert await service.end() == 0
