"""The command of `make sbom`, with the real cyclonedx-py and CycloneDX's own schema."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services import __version__
from tests.audit.judge import Pin, pins
from tests.audit.sbom import SbomError, bill, validate
from tests.support.processes import ROOT

LOCK = ROOT / "requirements.lock"


def sbom(lock: Path, output: Path) -> tuple[int, str]:
    """The exit code and the output."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.audit.sbom", str(lock), str(output)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=50,
    )
    return done.returncode, done.stdout


def test_the_bill_names_every_locked_package_with_its_hashes_and_is_valid(tmp_path: Path) -> None:
    """Two runs give equal bytes, with the version of this release."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    wanted = pins(LOCK.read_text())
    assert sbom(LOCK, first) == (0, f"{first}: CycloneDX 1.6, {len(wanted)} packages\n")
    assert sbom(LOCK, second)[0] == 0
    assert first.read_bytes() == second.read_bytes()
    validate(first)
    made = json.loads(first.read_text())
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    itself = made["metadata"]["component"]
    assert (itself["name"], itself["version"]) == ("exchange-connector-suite", __version__)
    components = {Pin(each["name"], each["version"]): each for each in made["components"]}
    assert set(components) == set(wanted)
    for pin, each in components.items():
        assert each["purl"].startswith(f"pkg:pypi/{pin.name}@{pin.version}")
        hashes = [one for place in each["externalReferences"] for one in place["hashes"]]
        assert hashes, pin
        for one in hashes:
            assert (one["alg"], len(one["content"])) == ("SHA-256", 64)
    text = LOCK.read_text()
    assert first.read_text().count('"SHA-256"') == text.count("--hash=sha256:")


def test_an_invalid_bill_is_refused(tmp_path: Path) -> None:
    """With a field unknown to CycloneDX, or a component without a name."""
    made = bill(LOCK, pins(LOCK.read_text()))
    for broken in ({**made, "colour": "red"}, {**made, "components": [{"type": "library"}]}):
        path = tmp_path / "broken.json"
        path.write_text(json.dumps(broken))
        with pytest.raises(SbomError, match="python failed"):
            validate(path)


def test_a_package_that_is_missing_in_the_bill_is_an_error(tmp_path: Path) -> None:
    """The error names it."""
    text = LOCK.read_text()
    with pytest.raises(SbomError, match=r"differ in absent 1\.0$"):
        bill(LOCK, [*pins(text), Pin("absent", "1.0")])


def test_a_lock_file_that_pins_nothing_gives_no_bill(tmp_path: Path) -> None:
    """And no file."""
    (tmp_path / "lock").write_text("redis>=8\n")
    code, said = sbom(tmp_path / "lock", tmp_path / "out.json")
    assert (code, "no bill of materials" in said) == (1, True)
    assert not (tmp_path / "out.json").exists()
