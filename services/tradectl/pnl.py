"""`tradectl pnl`: profit by strategy and market, total and today; of the bot and of all orders."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis

from common_models import PortfolioEvent, StrategyPosition
from common_models.stream_names import EventStream, joined
from services._runtime.position import NOTHING, day_of
from services.tradectl import show
from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.positions import (
    HeldPosition,
    PositionLedger,
    gain,
    rounded,
    shortened,
    total,
)
from services.tradectl.reading import newest, redis_time
from services.tradectl.tables import Column, table

PORTFOLIO = str(EventStream("bot", "portfolio"))
# In seconds: the bot publishes at each change, and every ten.
BOT_GONE_AFTER = 30.0
# The exchange and the asset of a sum; ("", "USDT") is the bot's.
Money = tuple[str, str]
COLUMNS = ("realised", "unrealised", Column("profit", wide=True), "fees", "today")


@dataclass(frozen=True, slots=True)
class Result:
    """The profit of one strategy on one market; *strategy* "": of the whole market.

    Money is in the quote asset; None: unknown. `realised` is net of fees.
    """

    strategy: str
    exchange: str
    symbol: str
    realised: Decimal | None
    unrealised: Decimal | None
    profit: Decimal | None
    fees: Decimal | None
    today: Decimal | None

    @property
    def currency(self) -> str:
        """The quote asset."""
        return self.symbol.partition("/")[2]

    @property
    def row(self) -> dict[str, Any]:
        """The result as a JSON object."""
        money = {
            "realised": self.realised,
            "unrealised": self.unrealised,
            "profit": self.profit,
            "fees": self.fees,
            "profit_today": self.today,
        }
        strategy = {"strategy": self.strategy} if self.strategy else {}
        names = {"exchange": self.exchange, "symbol": self.symbol, "currency": self.currency}
        return {**strategy, **names, **{name: rounded(value) for name, value in money.items()}}

    @property
    def cells(self) -> tuple[object, ...]:
        """The cells of a table row, after the market."""
        gains = (self.realised, self.unrealised, self.profit)
        return (*map(gain, gains), shortened(self.fees), gain(self.today))


def of_strategy(position: StrategyPosition, *, today: bool) -> Result:
    """The result that the bot published for a strategy; *today*: the event is of today."""
    return Result(
        position.strategy,
        position.exchange,
        position.symbol,
        _decimal(position.realised),
        _decimal(position.unrealised),
        _decimal(position.profit),
        _decimal(position.fees),
        _decimal(position.profit_today) if today else None,
    )


def of_market(held: HeldPosition) -> Result:
    """The result of one market, from a connector's books."""
    return Result(
        "",
        held.exchange,
        held.symbol,
        held.realised,
        held.unrealised,
        held.position.profit,
        held.fees,
        held.profit_today,
    )


def by_market(results: Iterable[Result]) -> list[Result]:
    """The results of all strategies, added up by market."""
    found: dict[tuple[str, str], list[Result]] = {}
    for each in results:
        found.setdefault((each.exchange, each.symbol), []).append(each)
    return [
        Result(
            "",
            exchange,
            symbol,
            total(each.realised for each in parts),
            total(each.unrealised for each in parts),
            total(each.profit for each in parts),
            total(each.fees for each in parts),
            total(each.today for each in parts),
        )
        for (exchange, symbol), parts in sorted(found.items())
    ]


def today(results: Iterable[Result], money: Callable[[Result], Money]) -> dict[Money, Decimal]:
    """The sum of the known profits of today by *money*, as RISK_MAX_DAILY_LOSS counts them."""
    found: dict[Money, Decimal] = {}
    for each in results:
        if each.today is not None:
            found[money(each)] = found.get(money(each), NOTHING) + each.today
    return found


@dataclass(frozen=True, slots=True)
class BotReport:
    """The bot's latest portfolio event, and its age in seconds."""

    mode: str
    age: float
    results: Sequence[Result]


async def bot_report(redis: Redis, exchange: str | None, symbol: str | None) -> BotReport | None:
    """The bot's latest portfolio event; None if there is none, or it can't be parsed."""
    last = await newest(redis, PORTFOLIO)
    if last is None:
        return None
    try:
        event = PortfolioEvent.model_validate_json(last.data)
    except ValidationError as e:
        print_message(
            f"{PORTFOLIO} {last.id} can't be read: {e.errors(include_url=False)[0]['msg']}"
        )
        return None
    now = await redis_time(redis)
    is_of_today = day_of(last.milliseconds / 1000) == day_of(now / 1000)
    results = [
        of_strategy(each, today=is_of_today)
        for each in event.positions
        if exchange in (None, each.exchange)
        and (symbol is None or joined(each.symbol) == joined(symbol))
    ]
    return BotReport(event.mode, max(0.0, (now - last.milliseconds) / 1000), results)


async def pnl(
    redis: Redis, ledger: PositionLedger, exchange: str | None, symbol: str | None, *, as_json: bool
) -> ExitCode:
    """Show the profit of the bot's strategies, and of all orders through the connectors."""
    markets = [of_market(each) for each in await ledger.held(redis, exchange, symbol)]
    bot = await bot_report(redis, exchange, symbol)
    # RISK_MAX_DAILY_LOSS counts all markets: a sum over some of them would mislead.
    whole = exchange is None and symbol is None
    if as_json:
        found = None if bot is None else _bot_json(bot, whole=whole)
        show.as_json({"bot": found, "connectors": _connectors_json(markets, whole=whole)})
        return ExitCode.DONE
    if bot is None:
        show.line(f"the bot has published nothing ({PORTFOLIO})")
        show.line("")
    else:
        _show_bot(bot, whole=whole)
    _show_markets("all orders through the connectors: the bot's, others', by hand", markets)
    if whole:
        _show_today("each connector", today(markets, lambda each: (each.exchange, each.currency)))
    return ExitCode.DONE


def _show_bot(bot: BotReport, *, whole: bool) -> None:
    gone = ": THE BOT IS GONE" if bot.age > BOT_GONE_AFTER else ""
    table(
        f"the bot ({bot.mode}), as published {show.span(bot.age)} ago{gone}",
        ("strategy", "market", *COLUMNS),
        [(each.strategy, f"{each.exchange} {each.symbol}", *each.cells) for each in bot.results],
    )
    _show_markets("the bot, by market", by_market(bot.results))
    if whole:
        _show_today("the bot", today(bot.results, lambda each: ("", each.currency)))


def _show_markets(title: str, markets: Sequence[Result]) -> None:
    rows = [(f"{each.exchange} {each.symbol}", *each.cells) for each in markets]
    table(title, ("market", *COLUMNS), rows)


def _show_today(whose: str, found: dict[Money, Decimal]) -> None:
    if found:
        title = f"since midnight UTC, as RISK_MAX_DAILY_LOSS of {whose} counts it"
        rows = [(" ".join(money).strip(), gain(won)) for money, won in sorted(found.items())]
        table(title, ("money", "profit"), rows)


def _bot_json(bot: BotReport, *, whole: bool) -> dict[str, Any]:
    won = today(bot.results, lambda each: ("", each.currency))
    return {
        "mode": bot.mode,
        "age_s": round(bot.age, 3),
        "strategies": [each.row for each in bot.results],
        "markets": [each.row for each in by_market(bot.results)],
        "profit_today": {currency: rounded(money) for (_, currency), money in sorted(won.items())}
        if whole
        else None,
    }


def _connectors_json(markets: Sequence[Result], *, whole: bool) -> dict[str, Any]:
    won = today(markets, lambda each: (each.exchange, each.currency))
    by_exchange: dict[str, dict[str, Decimal | None]] = {}
    for (exchange, currency), money in sorted(won.items()):
        by_exchange.setdefault(exchange, {})[currency] = rounded(money)
    return {
        "markets": [each.row for each in markets],
        "profit_today": by_exchange if whole else None,
    }


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))
