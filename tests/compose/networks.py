"""Which container reaches which, tried from inside of them."""

from collections.abc import Mapping

from tests.compose.engine import EngineError, Suite, run

# What a container's own Python says of a connection: nothing where it is made.
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"
# What a process may do: no user's rights, no capabilities, no new ones, no core file, no writing.
RIGHTS = r"""
import os, re, resource
status = dict(re.findall(r"(\w+):\s+(.*)", open("/proc/self/status").read()))
assert 0 not in {os.getuid(), os.geteuid(), os.getgid()}
assert {status[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {""}
assert status["NoNewPrivs"] == "1"
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
for folder in ("/", "/app", "/opt/venv", "/etc"):
    try:
        open(os.path.join(folder, "x"), "w").close()
    except OSError:
        continue
    raise SystemExit(f"{folder} can be written to")
print("bounded")
"""


async def reaches(suite: Suite, service: str, host: str, port: int) -> bool:
    """Whether *service*'s container gets a connection to that host's port."""
    return await _connects((await suite.inspect(service))["Id"], host, port)


async def hand_tool_reaches(suite: Suite, host: str, port: int) -> bool:
    """The same from tradectl's container, made for this one question."""
    try:
        await suite.hand_tool(CONNECT, host, str(port))
    except EngineError as e:
        _is_no_connection(e)
        return False
    return True


async def addresses(suite: Suite, service: str) -> Mapping[str, str]:
    """By network, without the project's name: the address that a container has on it."""
    networks = (await suite.inspect(service))["NetworkSettings"]["Networks"]
    return {name.removeprefix(f"{suite.name}_"): on["IPAddress"] for name, on in networks.items()}


async def _connects(container: str, host: str, port: int) -> bool:
    try:
        await run("docker", "exec", container, "python", "-c", CONNECT, host, str(port))
    except EngineError as e:
        _is_no_connection(e)
        return False
    return True


def _is_no_connection(error: EngineError) -> None:
    """The question was asked: its answer is no, by the resolver, or by nobody."""
    said = str(error)
    assert any(name in said for name in ("gaierror", "TimeoutError", "Network is unreachable")), (
        said
    )
