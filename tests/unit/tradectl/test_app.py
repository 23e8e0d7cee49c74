"""The command line itself: help that teaches, and arguments that can't be used."""

import re
import tomllib
from importlib import import_module

import pytest
from typer.testing import CliRunner

from services.tradectl.app import app, main
from services.tradectl.arguments import with_watch_interval
from services.tradectl.exit_codes import ExitCode
from tests.support.processes import ROOT

COMMANDS = (
    "tail",
    "status",
    "place",
    "cancel",
    "orders",
    "balances",
    "positions",
    "pnl",
    "why",
    "halt",
    "resume",
    "dead-letters list",
    "dead-letters show",
    "doctor",
)


def test_the_help_names_every_command_and_every_exit_code() -> None:
    """A script's author needs no other page."""
    text = CliRunner().invoke(app, ["--help"]).stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command.split()[0]} ", text, re.MULTILINE), command
    for ending in ExitCode:
        assert re.search(rf"^ +{ending.value}  ", text, re.MULTILINE), ending


def test_the_help_fits_a_terminal_of_80_columns() -> None:
    """The program's own, and that of each command."""
    for words in ([], *(command.split() for command in COMMANDS)):
        text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).stdout
        assert [line for line in text.splitlines() if len(line) > 80] == [], words


def test_the_console_script_is_the_command_line() -> None:
    """What `make setup` puts into the environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["tradectl"].partition(":")
    assert getattr(import_module(module), name) is main


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "resume"])
def test_every_command_teaches_by_example(command: str) -> None:
    """On a line of its own, as it would be typed."""
    text = CliRunner().invoke(app, [*command.split(), "--help"]).stdout
    assert re.search(rf"^ +tradectl {command}", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("place binance byu BTC/USDT 1", "side='byu'"),
        ("place binance buy BTC/USDT 0", "quantity=0.0"),
        ("place binance buy BTC/USDT -1", "quantity=-1: expected a number above 0"),
        ("place binance buy BTC/USDT -.5 --price 1", "quantity=-.5: expected a number above 0"),
        ("place binance buy BTC/USDT nan", "quantity=nan"),
        ("place binance buy BTC/USDT 1 --price -5", "price=-5.0"),
        ("place binance buy BTC/USDT 1 --time-in-force gtx", "time_in_force='gtx'"),
        ("place binance buy BTC/USDT one", "Invalid value for 'QUANTITY'"),
        ("place Binance! buy BTC/USDT 1", "exchange 'Binance!'"),
        ("cancel", "CLIENT_ORDER_ID or --all"),
        ("cancel some-id --all", "CLIENT_ORDER_ID or --all"),
        ("halt", "REASON"),
        ("tail", "STREAM"),
    ],
)
def test_arguments_that_cannot_be_used_are_named_and_nothing_is_sent(
    arguments: str, said: str
) -> None:
    """Exit code 2, before anything is asked of Redis: none runs there."""
    result = CliRunner().invoke(app, arguments.split(), env={"REDIS_URL": "redis://127.0.0.1:1"})
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr


NO_TEXT = "\udce9"


@pytest.mark.parametrize(
    "arguments",
    [
        ("place", "binance", "buy", "BTC/USDT", "1", "--id", NO_TEXT),
        ("place", "binance", "buy", NO_TEXT, "1"),
        ("cancel", NO_TEXT),
        ("orders", "--symbol", NO_TEXT),
        ("balances", "--asset", NO_TEXT),
        ("tail", NO_TEXT),
        ("why", NO_TEXT),
        ("resume", "--by", NO_TEXT),
        ("dead-letters", "show", NO_TEXT),
        (NO_TEXT,),
    ],
    ids=" ".join,
)
def test_an_argument_in_another_encoding_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    """A Latin-1 terminal's letter is spelled out; nothing is asked of Redis: none runs there."""
    result = CliRunner().invoke(app, arguments, env={"REDIS_URL": "redis://127.0.0.1:1"})
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "tradectl: argument '\\xe9': not valid UTF-8\n"


def test_a_mistyped_option_of_halt_is_refused() -> None:
    """`--keep-order` must not cancel what somebody wanted to keep."""
    arguments = ("halt", "maintenance", "--keep-order")
    result = CliRunner().invoke(app, arguments, env={"REDIS_URL": "redis://127.0.0.1:1"})
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "tradectl: NOT halted: no such option: --keep-order\n"


@pytest.mark.parametrize(
    ("arguments", "read_as"),
    [
        ("orders --watch", "orders --watch 2"),
        ("orders --watch --json", "orders --watch 2 --json"),
        ("orders -w .5 --json", "orders -w .5 --json"),
        ("orders --watch 5", "orders --watch 5"),
        ("orders --watch=5", "orders --watch=5"),
        ("orders --json", "orders --json"),
        ("orders --watch -1", "orders --watch -1"),
        ("orders --watch soon", "orders --watch soon"),
    ],
)
def test_watch_may_be_given_without_seconds(arguments: str, read_as: str) -> None:
    """Two, then; a number behind it is meant for it."""
    assert with_watch_interval(arguments.split()) == read_as.split()


@pytest.mark.parametrize("command", ["status", "orders", "balances", "positions", "pnl"])
@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_watch_that_never_waits_is_refused(command: str, seconds: str) -> None:
    """Redis has other work."""
    refused = CliRunner().invoke(app, [command, "--watch", seconds])
    assert refused.exit_code == ExitCode.USAGE
    assert "--watch" in refused.stderr
