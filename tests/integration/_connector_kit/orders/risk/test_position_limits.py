"""The largest position and the largest loss of a day, counted in Redis for all who send."""

import asyncio
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.integration._connector_kit.orders.risk.limits_stage import Stage

POSITION, LOSS = "max_position", "max_daily_loss"
# 2 BTC at 100, which the tests' orders of 0.5 fill up in four.
MOST = {"risk_max_position": "USDT:200", "risk_max_quantity": "BTC:2,ETH:2"}


async def test_what_is_on_its_way_counts_as_held_from_its_sending_to_its_end(redis: Redis) -> None:
    """Sent, accepted, published, filled: each counts once; of one that ended what it traded."""
    stage = Stage(redis, **MOST)
    for number, name in enumerate(("sent", "accepted", "published", "filled"), start=1):
        assert await stage.send(name) is None
        beyond = 2.001 - 0.5 * number
        assert await stage.send(f"beyond {name}", quantity=beyond) == POSITION
    for name in ("accepted", "published", "filled"):
        await stage.accept(name)
    await stage.publish("published", "partially_filled", filled="0.2")
    await stage.publish("filled", "filled", filled="0.5")
    assert await stage.send("one too many") == POSITION
    await stage.publish("published", "canceled", filled="0.2")
    assert await stage.send("a little too much", quantity=0.301) == POSITION
    assert await stage.send("the rest", quantity=0.3) is None


async def test_other_markets_the_other_side_and_orders_placed_elsewhere_dont_count(
    redis: Redis,
) -> None:
    """Nor what somebody else traded on the account."""
    stage = Stage(redis, **MOST)
    assert await stage.send("eth", symbol="ETH/USDT", quantity=2) is None
    assert await stage.send("sell", side="sell", quantity=2) is None
    for number in range(1000, 1003):
        await stage.publish_elsewhere(number, f"theirs-{number}", filled="0.4")
    assert await stage.send("buy", quantity=2) is None
    assert await stage.send("one too many") == POSITION


async def test_an_exit_passes_though_the_limit_is_lowered_and_the_days_loss_is_reached(
    redis: Redis,
) -> None:
    """In a run after another limit; together with an open exit no more than is held."""
    before = Stage(redis, **MOST)
    assert await before.send("entry", quantity=2) is None
    await before.publish("entry", "filled", filled="2")
    await before.accept("entry")
    stage = Stage(redis, risk_max_position="USDT:10", risk_max_daily_loss="USDT:40")
    stage.taken = before.taken
    stage.price = Decimal(80)  # bought at 100
    assert await stage.send("more", quantity=0.01) == POSITION
    assert await stage.send("first half", side="sell", quantity=1) is None
    assert await stage.send("too much", side="sell", quantity=1.01) == LOSS
    assert await stage.send("second half", side="sell", quantity=1) is None
    assert await stage.send("short", side="sell", quantity=0.01) == LOSS
    stage.price = Decimal("80.01")
    assert await stage.send("short by a little", side="sell", quantity=0.01) is None


async def test_of_many_at_once_in_two_processes_no_more_than_the_limit_pass(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Each is written before it looks at the others."""
    async with open_redis(redis_server.url, "other") as second:
        stages = [Stage(redis, **MOST), Stage(second, **MOST)]
        records = [await stages[0].claim(f"bot-{n}") for n in range(16)]
        verdicts = await asyncio.gather(
            *(stages[n % 2].reserve(taken) for n, taken in enumerate(records))
        )
        assert 1 <= sum(verdict is None for verdict in verdicts) <= 4
        assert {v.reason_code for v in verdicts if v} == {POSITION}


async def test_a_halt_that_comes_while_others_are_looked_at_counts(redis: Redis) -> None:
    """The switch is read in the last transaction."""
    stage = Stage(redis, **MOST)
    assert await stage.send("one") is None
    stage.halt_at_reading = stage.readings + 2
    assert await stage.send("two") == "halted"
    assert await stage.send("three") is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(("buy", "sell")), st.integers(1, 8)),
        st.tuples(st.just("fill"), st.integers(0, 5), st.integers(1, 8)),
        st.tuples(st.sampled_from(("accept", "open", "end")), st.integers(0, 5)),
    ),
    max_size=25,
)


class Model:
    """What the limit should say, by a list of all orders: quantities are in quarters."""

    def __init__(self) -> None:
        self.net = 0
        self.open: dict[str, list[int]] = {}  # signed: asked for, filled
        self.accepted: set[str] = set()

    def verdict(self, name: str, signed: int) -> str | None:
        """Of an order now."""
        way = [asked - filled for asked, filled in self.open.values() if asked * signed > 0]
        held = self.net + sum(way)
        reduces = held * signed < 0 and abs(signed) <= abs(held)
        if abs(held + signed) > 8 and not reduces:
            return POSITION
        self.open[name] = [signed, 0]
        return None


async def play(redis: Redis, steps: list[tuple[Any, ...]]) -> None:
    """Take the steps on a server, and compare each verdict."""
    await redis.flushall()
    stage, model = Stage(redis, **MOST), Model()
    for number, (what, *rest) in enumerate(steps):
        if what == "send":
            side, quarters = rest
            name, signed = f"o{number}", quarters if side == "buy" else -quarters
            verdict = await stage.send(name, side=side, quantity=quarters / 4)
            assert verdict == model.verdict(name, signed)
            continue
        if rest[0] >= len(model.open):
            continue
        name = list(model.open)[rest[0]]
        order = model.open[name]
        if what == "fill":
            sign = 1 if order[0] > 0 else -1
            more = min(rest[1], abs(order[0] - order[1]) - 1)
            order[1] += sign * more
            model.net += sign * more
        if what in ("accept", "end") and name not in model.accepted:
            model.accepted.add(name)
            await stage.accept(name)
        if what == "end":
            del model.open[name]
        # Until it is answered all of it counts, though some of it is held already.
        if what == "fill" and name not in model.accepted:
            model.accepted.add(name)
            await stage.accept(name)
        if what != "accept":
            status = "canceled" if what == "end" else "partially_filled" if order[1] else "open"
            await stage.publish(name, status, filled=f"{abs(order[1]) / 4}")


async def test_the_verdict_is_that_of_a_list_of_all_orders(redis: Redis) -> None:
    """Whatever is sent, accepted, published, filled and ended, in whatever order."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def check(steps: list[tuple[Any, ...]]) -> None:
        asyncio.run_coroutine_threadsafe(play(redis, steps), loop).result()

    await asyncio.to_thread(check)
