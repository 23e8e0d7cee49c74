"""The suite in containers, on whatever Docker engine the environment names."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.ports import quiet_port
from tests.support.processes import ROOT
from tests.support.venues.simulated import is_ready, report

# By service: the variable that moves its published port, and whether it is a health port.
PORTS = {
    "redis": "REDIS_PORT",
    "bot": "BOT_PORT",
    "binance_connector": "BINANCE_PORT",
    "luno_connector": "LUNO_PORT",
    "indicators": "INDICATORS_PORT",
    "exchange_simulator": "SIMULATOR_HEALTH_PORT",
}
BASE, PAPER, SECURE = (f"docker-compose{part}.yml" for part in ("", ".paper", ".secure"))
STARTS_WITHIN = 180.0
COMMAND_WITHIN = 300.0
ASK_EVERY = 1.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for *condition*, asking seldom: each question starts a process.

    Raises:
        TimeoutError: it didn't come true.
    """
    async with asyncio.timeout(STARTS_WITHIN):
        while not await condition():  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(ASK_EVERY)


class EngineError(Exception):
    """A docker command failed; with what it said."""


async def run(
    *command: str, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> str:
    """What *command* prints.

    Raises:
        EngineError: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(COMMAND_WITHIN):
        said, _ = await process.communicate()
    text = said.decode("utf-8", "replace")
    if process.returncode:
        raise EngineError(f"{' '.join(command)}: {text[-2000:]}")
    return text


async def compose_command() -> tuple[str, ...]:
    """Compose v2 where it is installed, else the older docker-compose."""
    try:
        await run("docker", "compose", "version")
    except EngineError:
        return ("docker-compose",)
    return ("docker", "compose")


@dataclass
class Suite:
    """One compose project: its own name, volume and ports, told by the environment."""

    name: str
    compose: tuple[str, ...]
    environment: dict[str, str]
    ports: dict[str, int]

    async def __call__(self, *arguments: str) -> str:
        """A compose command on this project."""
        return await run(*self.compose, *arguments, environment=self.environment)

    async def shell(self, lines: str, folder: Path) -> str:
        """What *lines* print, run in *folder* as a person would: `docker compose` is this project.

        Raises:
            EngineError: one of them failed.
        """
        compose = shlex.join(self.compose)
        docker = (
            f'docker() {{ if [ "$1" = compose ]; then shift; command {compose} "$@"; '
            'else command docker "$@"; fi; }'
        )
        script = f"shopt -s expand_aliases\n{docker}\n{lines}"
        command = ("bash", "-euo", "pipefail", "-c", script)
        return await run(*command, folder=folder, environment=self.environment)

    async def hand_tool(self, code: str, *arguments: str) -> str:
        """What *code* prints in a container of tradectl, made for it and removed after."""
        python = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "tradectl")
        return await self(*python, "-c", code, *arguments)

    async def inspect(self, service: str) -> dict[str, Any]:
        """All that the engine knows of a service's container."""
        label = "label=com.docker.compose"
        ours = (
            "--filter",
            f"{label}.project={self.name}",
            "--filter",
            f"{label}.service={service}",
        )
        (container,) = (await run("docker", "ps", "--all", "--quiet", *ours)).split()
        found: list[dict[str, Any]] = json.loads(await run("docker", "inspect", container))
        return found[0]

    async def healthy(self, service: str) -> bool:
        """Whether the engine holds it for healthy, and it is ready."""
        state = (await self.inspect(service))["State"]
        if state.get("Health", {}).get("Status") != "healthy":
            return False
        return service == "redis" or await is_ready(self.ports[service])

    async def why_not(self, service: str) -> str:
        """What the engine, the service and its log say."""
        health = (await self.inspect(service))["State"].get("Health", {})
        checks = [check["Output"].strip() for check in health.get("Log", [])[-2:]]
        ready = {} if service == "redis" else (await report(self.ports[service]))[1]
        logs = await self("logs", "--no-color", "--tail", "10", service)
        return f"{service} is {health.get('Status')} ({checks}), {ready}\n{logs}"

    async def all_healthy(self) -> None:
        """Wait until every service is."""
        for service in PORTS:
            await self.until_healthy(service)

    async def until_healthy(self, service: str) -> None:
        """Wait until one service is."""
        try:
            await until(partial(self.healthy, service))
        except TimeoutError as e:
            raise AssertionError(await self.why_not(service)) from e

    async def kill(self, service: str) -> None:
        """SIGKILL what runs in a container, and wait until the engine has started it again.

        From the inside: what a person kills with the engine's own command stays dead.
        """
        before = await self.inspect(service)
        await run("docker", "exec", before["Id"], "sh", "-c", "kill -9 -1 || true")

        async def back() -> bool:
            state = (await self.inspect(service))["State"]
            return bool(state["Running"] and state["StartedAt"] != before["State"]["StartedAt"])

        await until(back)
        await self.until_healthy(service)


@asynccontextmanager
async def running_suite(
    name: str, files: Sequence[str], folder: Path, **environment: str
) -> AsyncIterator[Suite]:
    """The suite on simulated markets while the block runs; nothing of it is left after."""
    async with described_suite(name, files, folder, ROOT, **environment) as suite:
        await suite("up", "--detach", "--no-build")
        yield suite


@asynccontextmanager
async def described_suite(
    name: str, files: Sequence[str], folder: Path, checkout: Path, **environment: str
) -> AsyncIterator[Suite]:
    """The compose *files* of *checkout*, not up yet; nothing of it is left after the block."""
    ports = {service: quiet_port() for service in PORTS}
    given = {
        **environment,
        **{PORTS[service]: str(port) for service, port in ports.items()},
        "SIMULATOR_PUBLISHED_PORT": str(quiet_port()),
        "COMPOSE_PROJECT_NAME": name,
        "COMPOSE_FILE": os.pathsep.join(str(checkout / file) for file in files),
    }
    suite = Suite(name, await compose_command(), given, ports)
    await suite("down", "--volumes", "--remove-orphans")  # of a run that was cut short
    try:
        yield suite
    except BaseException:
        (folder / "containers.log").write_text(await suite("logs", "--no-color"))
        raise
    finally:
        await suite("down", "--volumes", "--remove-orphans")
