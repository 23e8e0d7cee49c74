"""The end of the certificates that a service trusts Redis by."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services._runtime.certificates import certificate_metrics
from tests.support.metrics import numbers

DAY = 86_400


def authority(folder: Path, days: int) -> str:
    """The certificate of an authority that ends in so many days."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    command += ["-subj", f"/CN=ends in {days}", "-days", str(days)]
    subprocess.run(command, capture_output=True, check=True)
    return (folder / "crt").read_text()


@pytest.mark.parametrize("days", [[20], [400, 20], [20, 400]])
def test_the_first_expiry_in_the_file_of_the_redis_url_is_exported(
    tmp_path: Path, days: list[int]
) -> None:
    """A file may hold several authorities."""
    path = tmp_path / "ca.crt"
    path.write_text("".join(authority(tmp_path, each) for each in days))
    found = numbers(certificate_metrics(f"rediss://u:p@redis:6379/0?ssl_ca_certs={path}"))
    ((key, end),) = found.items()
    assert key == ("certificate_end_seconds", str(path))
    assert end == pytest.approx(datetime.now(UTC).timestamp() + 20 * DAY, abs=300)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff"])
def test_without_a_readable_certificate_no_value_is_exported(
    tmp_path: Path, content: bytes | None
) -> None:
    """Redis can't be reached then, which has an alert of its own."""
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    assert not numbers(certificate_metrics(f"rediss://redis:6379/0?ssl_ca_certs={path}"))
    assert not numbers(certificate_metrics("redis://127.0.0.1:6379/0"))
