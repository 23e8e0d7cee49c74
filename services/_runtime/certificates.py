"""Expiry of the certificate authorities by which a service trusts Redis."""

import ssl
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from prometheus_client.metrics_core import Metric

from services._runtime.metrics import gauges


def certificate_metrics(redis_url: str) -> Iterator[Metric]:
    """When the first authority in the URL's `ssl_ca_certs` expires; `make renew` replaces it.

    The metric has no value if the URL names no file, or if the file can't be read.
    """
    path = next(iter(parse_qs(urlsplit(redis_url).query).get("ssl_ca_certs", [])), None)
    ends = {} if path is None else _ends(path)
    yield gauges(
        "certificate_end_seconds",
        "When the first of the certificates in the file expires, in Unix seconds.",
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
