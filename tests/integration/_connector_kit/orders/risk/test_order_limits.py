"""What is counted in Redis before an order is sent: pace by writer and in all, and open orders."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from common_models.stream_names import BOT_ORDERS
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.keys import sending_key
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.integration._connector_kit.orders.risk.limits_stage import NAME, Stage
from tests.support.network.fault_proxy import FaultProxy

EACH, ALL, OPEN = 3, 5, 4
PACE = "orders_per_minute"


@pytest.fixture
def stage(redis: Redis) -> Stage:
    """Few orders are allowed."""
    return Stage(
        redis,
        risk_orders_per_minute=EACH,
        risk_orders_per_minute_total=ALL,
        risk_max_open_orders=OPEN,
    )


async def test_each_writer_has_a_pace_and_all_have_one_together(redis: Redis) -> None:
    """The bot is known by its ids; what was refused doesn't count, and a minute later nothing."""
    stage = Stage(redis, risk_orders_per_minute=EACH, risk_orders_per_minute_total=ALL)
    assert [await stage.send(f"bot-{n}") for n in range(5)] == [None] * 3 + [PACE] * 2
    assert [await stage.send(f"hand-{n}") for n in range(5)] == [None] * 2 + [PACE] * 3
    assert await stage.send("bot-later", at=59.999) == PACE
    assert [await stage.send(f"bot-next-{n}", at=60.0) for n in range(4)] == [None] * 3 + [PACE]


async def test_without_a_total_all_together_have_the_pace_of_one(redis: Redis) -> None:
    """An id can be given any beginning: that wins nothing."""
    stage = Stage(redis, risk_orders_per_minute=EACH)
    assert [await stage.send(f"bot-{n}") for n in range(2)] == [None] * 2
    assert [await stage.send(f"hand-{n}") for n in range(2)] == [None, PACE]
    assert await stage.send("bot-again") == PACE


async def test_of_many_orders_at_once_in_two_processes_no_more_than_the_limit_pass(
    redis_server: RedisServer, redis: Redis
) -> None:
    """They are counted by the server, not by whoever sends."""
    async with open_redis(redis_server.url, "other") as second:
        one = Stage(redis, risk_orders_per_minute=10, risk_max_open_orders=7)
        two = Stage(second, risk_orders_per_minute=10, risk_max_open_orders=7)
        records = [await one.claim(f"bot-{n}") for n in range(16)]
        stages = [one, two]
        verdicts = await asyncio.gather(*(stages[n % 2].reserve(r) for n, r in enumerate(records)))
        # One that is refused may stand there while another is counted: never one too many passes.
        assert 1 <= sum(verdict is None for verdict in verdicts) <= 7
        assert {v.reason_code for v in verdicts if v} <= {"max_open_orders", PACE}


async def test_an_order_counts_as_open_from_its_sending_to_its_end(stage: Stage) -> None:
    """Sent, unclear, accepted, published: each counts once; one that is claimed only doesn't."""
    stage = Stage(stage.redis, risk_max_open_orders=OPEN)
    for name in ("sent", "unclear", "accepted", "published"):
        assert await stage.send(name) is None
    await stage.claim("claimed")
    await stage.accept("accepted")
    await stage.accept("published")
    await stage.publish("published", "open")
    assert await stage.send("one too many") == "max_open_orders"
    await stage.publish("published", "canceled")
    assert await stage.send("instead") is None
    assert await stage.send("one too many again") == "max_open_orders"
    await stage.publish("accepted", "filled")
    await stage.accept("sent")
    assert await stage.send("instead of the other") is None


async def test_orders_placed_elsewhere_dont_count_as_ours(stage: Stage) -> None:
    """However many there are; nor does one twice that is published before it is answered."""
    stage = Stage(stage.redis, risk_max_open_orders=2)
    for number in range(1000, 1005):
        await stage.publish_elsewhere(number, f"theirs-{number}")
    await stage.publish_elsewhere(2000, None)
    assert await stage.send("first") is None
    await stage.publish("first", "open")
    assert await stage.send("second") is None
    assert await stage.send("third") == "max_open_orders"


async def test_one_that_is_looked_at_closely_isnt_refused_for_those_after_it(
    stage: Stage,
) -> None:
    """Whether others are ours is read after the count: those counted later don't matter."""
    stage = Stage(stage.redis, risk_max_open_orders=3)
    for number in range(1000, 1003):
        await stage.publish_elsewhere(number, f"theirs-{number}")
    records = [await stage.claim(f"order-{number}") for number in range(8)]
    verdicts = await asyncio.gather(*(stage.reserve(taken) for taken in records))
    assert sum(verdict is None for verdict in verdicts) == 3


async def test_what_passed_is_remembered_until_it_is_answered(stage: Stage) -> None:
    """Nothing is left behind by orders that were answered or refused."""
    for name in ("a", "b"):
        assert await stage.send(name) is None
    sending = sending_key(NAME)
    assert await stage.redis.zrange(sending, 0, -1) == [b"a", b"b"]
    await stage.accept("a")
    assert await stage.redis.zrange(sending, 0, -1) == [b"b"]
    assert await stage.send("c") is None
    assert await stage.send("d") == PACE
    assert await stage.redis.zrange(sending, 0, -1) == [b"b", b"c"]
    assert 60_000 < await stage.redis.pttl(f"{NAME}:state:sent:others") <= 120_000


async def test_orders_that_reduce_a_position_may_use_twice_the_pace(stage: Stage) -> None:
    """So a loop that uses up the pace leaves an exit, and a loop of exits is bounded."""
    assert [await stage.send(name) for name in ("a", "b", "c")] == [None] * 3  # buys of 0.5
    for name in ("a", "b", "c"):
        await stage.accept(name)
        await stage.publish(name, "filled", filled="0.5")
    assert await stage.send("more") == PACE
    assert await stage.send("too large", side="sell", quantity=1.501) == PACE
    assert await stage.send("another market", side="sell", symbol="ETH/USDT") == PACE
    for number in range(EACH):
        name = f"exit {number}"
        assert await stage.send(name, side="sell", quantity=1.5) is None
        assert await stage.send(f"together too large {number}", side="sell", quantity=0.001) == PACE
        await stage.accept(name)
        await stage.publish(name, "canceled")
    assert await stage.send("one exit too many", side="sell") == PACE
    assert await stage.send("bot-exit", side="sell") is None  # 7 of the 10 of all together


async def test_what_makes_a_position_smaller_may_be_open_twice_as_often(redis: Redis) -> None:
    """No more of it than is held, so that all of it together builds no position the other way."""
    stage = Stage(redis, risk_max_open_orders=2)
    assert await stage.send("held", quantity=2) is None
    await stage.accept("held")
    await stage.publish("held", "filled", filled="2")
    assert [await stage.send(f"rests {n}") for n in range(3)] == [None, None, "max_open_orders"]
    assert await stage.send("exit 1", side="sell", quantity=1.5) is None
    assert await stage.send("too large", side="sell", quantity=0.501) == "max_open_orders"
    assert await stage.send("exit 2", side="sell", quantity=0.4) is None
    assert await stage.send("one too many", side="sell", quantity=0.1) == "max_open_orders"


async def test_without_a_recorded_position_no_order_counts_as_an_exit(stage: Stage) -> None:
    """Whatever the account holds."""
    assert [await stage.send(f"o{n}", side="sell") for n in range(4)] == [None] * 3 + [PACE]


async def test_an_order_that_finds_trading_halted_is_refused_and_counts_no_longer(
    stage: Stage,
) -> None:
    """The switch is read in the transaction that counts the order."""
    stage.halt_at_reading = 1
    assert await stage.send("a") == "halted"
    assert await stage.redis.zcard(sending_key(NAME)) == 0
    assert [await stage.send(f"next-{n}") for n in range(EACH)] == [None] * EACH


@pytest.mark.parametrize("halt_at_reading", [None, 2])
async def test_the_switch_is_read_again_after_a_closer_look(
    stage: Stage, halt_at_reading: int | None
) -> None:
    """Whose the open orders are takes round trips: a halt that comes meanwhile counts."""
    stage = Stage(stage.redis, risk_max_open_orders=1)
    await stage.publish_elsewhere(1000, "theirs")
    stage.halt_at_reading = halt_at_reading
    assert await stage.send("a") == (halt_at_reading and "halted")
    assert stage.readings == 2


async def test_without_redis_no_order_passes(proxy: FaultProxy) -> None:
    """It can't be counted."""
    async with open_redis(proxy.url, "test") as redis:
        stage = Stage(redis)
        taken = await stage.claim("a")
        proxy.cut_replies_after = 0
        with pytest.raises(TransientError):
            await stage.reserve(taken)
        assert await stage.reserve(taken) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from((BOT_ORDERS, "")),
            st.integers(0, 40),
            st.sampled_from((1, -1)),
        ),
        st.tuples(st.sampled_from(("accept", "open", "fill", "end")), st.integers(0, 9)),
        st.tuples(st.just("elsewhere"), st.integers(0, 9)),
    ),
    max_size=40,
)


class Model:
    """What the limits should say, by a list of all that was sent."""

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[tuple[str, int]] = []
        self.open: dict[str, int] = {}  # all are of the same quantity: buys 1, sells -1
        self.net = 0

    def verdict(self, name: str, sign: int) -> str | None:
        """Of an order now."""
        lately = [who for who, at in self.sent if at > self.now - 60]
        who = "bot" if name.startswith(BOT_ORDERS) else "others"
        held = self.net + sum(each for each in self.open.values() if each == sign)
        times = 2 if held * sign < 0 else 1
        if lately.count(who) >= EACH * times or len(lately) >= ALL * times:
            return PACE
        if len(self.open) >= OPEN * times:
            return "max_open_orders"
        self.sent.append((who, self.now))
        self.open[name] = sign
        return None


async def play(redis: Redis, steps: list[tuple[Any, ...]]) -> None:
    """Take the steps on a server, and compare each verdict."""
    await redis.flushall()
    stage = Stage(
        redis,
        risk_orders_per_minute=EACH,
        risk_orders_per_minute_total=ALL,
        risk_max_open_orders=OPEN,
    )
    model = Model()
    for number, (what, *rest) in enumerate(steps):
        if what == "send":
            prefix, seconds, sign = rest
            model.now += seconds
            name, side = f"{prefix}{number}", "buy" if sign > 0 else "sell"
            verdict = await stage.send(name, at=model.now, side=side)
            assert verdict == model.verdict(name, sign)
        elif what == "elsewhere":
            await stage.publish_elsewhere(1000 + rest[0], "theirs")
        elif rest[0] < len(model.open):
            name = list(model.open)[rest[0]]
            if what == "accept":
                await stage.accept(name)
            elif what == "open":
                await stage.publish(name, "open")
            else:
                filled = what == "fill"
                await stage.accept(name)
                await stage.publish(name, *(("filled", "0.5") if filled else ("canceled",)))
                model.net += model.open.pop(name) * filled


async def test_the_count_is_that_of_a_list_of_all_orders(redis: Redis) -> None:
    """Whatever is sent, accepted, published and ended, in whatever order and time."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def check(steps: list[tuple[Any, ...]]) -> None:
        asyncio.run_coroutine_threadsafe(play(redis, steps), loop).result()

    await asyncio.to_thread(check)
