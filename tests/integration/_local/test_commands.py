"""What the services may ever ask of Redis, the access list allows."""

import ast
import re

from services._local.access_list import CONNECTION, OPERATOR, USERS
from services._runtime.exchanges import EXCHANGES
from tests.support.processes import ROOT
from tests.support.redis.secure import Guarded

# Where the code of each user is.
FOLDERS = {
    **{f"{name}_connector": ("_connector_kit", f"{name}_connector") for name in EXCHANGES},
    "indicators": ("indicators",),
    "bot": ("bot",),
    OPERATOR: ("tradectl",),
}


def _code_of(user: str) -> list[str]:
    """The text of its modules, and of those of `_runtime` that they import."""
    services = ROOT / "services"
    code = [
        path.read_text("utf-8")
        for name in FOLDERS[user]
        for path in services.glob(f"{name}/**/*.py")
    ]
    runtime = {path.stem: path.read_text("utf-8") for path in services.glob("_runtime/*.py")}
    for text in code:  # it grows meanwhile
        for name in set(re.findall(r"services\._runtime\.(\w+)", text)) & runtime.keys():
            code += [runtime.pop(name)]
    return code


def _named_in(text: str) -> set[str]:
    """The words in capitals, and the methods that are called on what may be a client of Redis."""
    named = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value=str(word)) if word.isupper():
                named.add(word)
            case ast.Call(func=ast.Attribute(value=receiver, attr=method)):
                if re.search(r"redis$|\b(pipe|both|client)$", ast.unparse(receiver)):
                    named.add(method.upper().partition("_")[0])
    return named


async def test_no_service_knows_a_command_that_its_user_may_not_give(guarded: Guarded) -> None:
    """Those that it gives once a year too: by the words in its modules."""
    commands = {name.upper() for name in await guarded.admin.command()}
    refused = {}
    for user in FOLDERS:
        rules = f"{CONNECTION} {' '.join(USERS[user])}"
        allowed = {word.upper() for word in re.findall(r"\+([a-z]+)", rules)}
        found = commands & {word for text in _code_of(user) for word in _named_in(text)}
        assert "XADD" in found
        refused[user] = found - allowed
    assert refused == {user: set() for user in FOLDERS}
