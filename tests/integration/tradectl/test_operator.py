"""tradectl as the Redis user that the access list has for it: nothing it needs is refused."""

from pathlib import Path

import pytest

from services._local.access_list import ADMIN, OPERATOR, USERS, access_list
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.integration.tradectl.hand import Ended, play_connector, tradectl
from tests.support.ports import quiet_port

PASSWORDS = {user: f"password-of-{user}" for user in (*USERS, ADMIN)}
SOON = ("--timeout", "0.5")


@pytest.mark.timeout(120)
async def test_every_command_works_for_the_operator(tmp_path: Path) -> None:
    """No connector runs: what is asked of one gets no answer, and everything else is done."""
    rules = tmp_path / "users.acl"
    rules.write_text("user default on nopass ~* &* +@all\n")
    server = RedisServer(tmp_path / "redis", quiet_port(), "--aclfile", str(rules))
    await server.start()

    async def by_hand(*arguments: str) -> Ended:
        url = f"redis://{OPERATOR}:{PASSWORDS[OPERATOR]}@127.0.0.1:{server.port}/0"
        return await tradectl(url, *arguments, HEALTH_URLS=",")

    try:
        async with open_redis(server.url, "test") as everybody:
            for exchange in ("binance", "luno"):
                await play_connector(everybody, exchange)
                await everybody.set(f"{exchange}_connector:state:world", "simulator")
                status = f"{exchange}_connector:events:order_status"
                await everybody.xadd(status, {"data": '{"client_order_id":"mine"}'})
            rules.write_text(access_list(PASSWORDS))
            await everybody.acl_load()
        for arguments, code in (
            (("status",), 0),
            (("orders", "--all"), 0),
            (("balances",), 0),
            (("why", "mine"), 0),
            (("dead-letters", "list"), 0),
            (("tail", "*", "--from", "all", "--no-follow"), 0),
            (("place", "luno", "buy", "XBT/ZAR", "1", *SOON), 5),
            (("cancel", "mine", "-x", "luno", "-s", "XBT/ZAR", *SOON), 5),
            (("balances", "--refresh", *SOON), 5),
            (("halt", "a try", *SOON), 5),
            (("resume",), 0),
        ):
            found = await by_hand(*arguments)
            assert found.code == code, (arguments, found)
            assert "permission" not in found.err, (arguments, found)
        examined = await by_hand("doctor", "--json")
    finally:
        await server.stop()
    checks = {check["check"]: check for check in examined.json}
    assert checks["permissions"]["state"] == "ok", checks["permissions"]
    # The groups are the connectors' to make.
    failed = {name for name, check in checks.items() if check["state"] != "ok"}
    assert failed == {"binance_connector commands", "luno_connector commands"}
