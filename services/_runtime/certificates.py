"""When the certificates end that a service trusts Redis by."""

import ssl
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from prometheus_client.metrics_core import Metric

from services._runtime.metrics import gauges


def certificate_metrics(redis_url: str) -> Iterator[Metric]:
    """The end of the authorities in the URL's `ssl_ca_certs`; `make renew` renews what it signed.

    Nothing where the URL names no file, or one that can't be read: then Redis can't be reached.
    """
    path = next(iter(parse_qs(urlsplit(redis_url).query).get("ssl_ca_certs", [])), None)
    ends = {} if path is None else _ends(path)
    yield gauges(
        "certificate_end_seconds",
        "When the first of the certificates in the file ends, in Unix seconds.",
        ["file"],
        ends,
    )


def _ends(path: str) -> dict[str, float]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):  # an SSLError is an OSError
        return {}
    ends = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]
    return {path: min(ends)} if ends else {}
