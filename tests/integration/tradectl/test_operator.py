"""tradectl as the Redis user that the access list has for it: nothing it needs is refused."""

from pathlib import Path

import pytest

from services._local.access_list import OPERATOR
from tests.integration.tradectl.hand import Ended, play_connector, tradectl
from tests.support.redis.secure import guarded_redis

SOON = ("--timeout", "0.5")


@pytest.mark.timeout(120)
async def test_every_command_works_for_the_operator(tmp_path: Path) -> None:
    """No connector runs: what is asked of one gets no answer, and everything else is done."""
    async with guarded_redis(tmp_path) as guarded:

        async def by_hand(*arguments: str) -> Ended:
            return await tradectl(guarded.url(OPERATOR), *arguments, HEALTH_URLS=",")

        for exchange in ("binance", "luno"):
            await play_connector(guarded.admin, exchange)
            await guarded.admin.set(f"{exchange}_connector:state:world", "simulator")
            status = f"{exchange}_connector:events:order_status"
            await guarded.admin.xadd(status, {"data": '{"client_order_id":"mine"}'})
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
    checks = {check["check"]: check for check in examined.json}
    assert checks["permissions"]["state"] == "ok", checks["permissions"]
    # The groups are the connectors' to make.
    failed = {name for name, check in checks.items() if check["state"] != "ok"}
    assert failed == {"binance_connector commands", "luno_connector commands"}
