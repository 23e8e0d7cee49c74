"""`tradectl positions`: the positions of all orders through the connectors, at market price."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import MARKET_DATA_TYPES, MarketStream, joined
from services._runtime.position import NOTHING, Position, day_of
from services.tradectl import show
from services.tradectl.exit_codes import CommandError, ExitCode, print_message
from services.tradectl.fills import Fills
from services.tradectl.reading import is_trimmed, newest, redis_time
from services.tradectl.sending import GONE_AFTER, any_has_status, selected_connectors, status_age
from services.tradectl.tables import Gain, amount, table
from services.tradectl.target import no_connector_message


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """The position on one market at the current price; None: unknown.

    Quantities are in the base asset, money is in the quote asset. `today`: the position's day is
    the current one. `fees`: None if `order_status` no longer holds its oldest entries.
    """

    exchange: str
    symbol: str
    position: Position
    average: Decimal | None
    fees: Decimal | None
    today: bool

    @property
    def quote(self) -> str:
        """The quote asset."""
        return self.symbol.partition("/")[2]

    @property
    def value(self) -> Decimal | None:
        """The position's market value; negative for a short position."""
        held, price = self.position.quantity, self.position.price
        return None if price is None else held * price

    @property
    def unrealised(self) -> Decimal | None:
        """The profit of closing the position at the current price."""
        if not self.position.quantity:
            return NOTHING
        if self.average is None or self.position.price is None:
            return None
        return self.position.quantity * (self.position.price - self.average)

    @property
    def realised(self) -> Decimal | None:
        """The profit of the closed part, net of all fees."""
        if not self.position.quantity:
            return self.position.cash
        if self.average is None:
            return None
        return self.position.cash + self.position.quantity * self.average

    @property
    def profit_today(self) -> Decimal | None:
        """The profit since midnight UTC, as the connector's RISK_MAX_DAILY_LOSS counts it."""
        return self.position.profit_today if self.today else None

    @property
    def row(self) -> dict[str, Any]:
        """The position as a JSON object."""
        found = {
            "average_price": self.average,
            "price": self.position.price,
            "value": self.value,
            "unrealised": self.unrealised,
            "realised": self.realised,
            "profit": self.position.profit,
            "profit_today": self.profit_today,
            "fees": self.fees,
        }
        names = {"exchange": self.exchange, "symbol": self.symbol, "currency": self.quote}
        exact = {"quantity": self.position.quantity}
        return {**names, **exact, **{name: rounded(value) for name, value in found.items()}}


@dataclass
class PositionLedger:
    """Reads positions; each stream is read only from where the last read stopped."""

    _fills: dict[str, Fills] = field(default_factory=dict)

    async def held(
        self, redis: Redis, exchange: str | None, symbol: str | None
    ) -> list[HeldPosition]:
        """The positions, flat ones included, of one exchange or all, of one symbol or all.

        Raises:
            CommandError: no connector was ever on this Redis, or a position is invalid (NO).
        """
        names = await selected_connectors(redis, exchange)
        if not await any_has_status(redis, names):
            raise CommandError(ExitCode.NO, no_connector_message(redis))
        found: list[HeldPosition] = []
        for name in names:
            found += [
                each
                for each in await self._of(redis, name)
                if symbol is None or joined(each.symbol) == joined(symbol)
            ]
        return found

    async def _of(self, redis: Redis, connector: str) -> list[HeldPosition]:
        fills = self._fills.setdefault(connector, Fills(connector))
        positions = await fills.catch_up(redis)
        if positions and (silence := await status_age(redis, connector) or 0.0) > GONE_AFTER:
            print_message(
                f"{connector} has published no status for {show.span(silence)}: prices are as old"
            )
        trimmed = positions and await is_trimmed(redis, fills.stream)
        now, exchange = await redis_time(redis), connector.removesuffix("_connector")
        found = []
        for symbol, position in sorted(positions.items()):
            position.price = await market_price(redis, exchange, symbol) or position.price
            held = HeldPosition(
                exchange,
                symbol,
                position,
                fills.average(symbol, position.quantity),
                None if trimmed else fills.fees.get(symbol, NOTHING),
                today=position.day == day_of(now / 1000),
            )
            found.append(held)
        return found


async def market_price(redis: Redis, exchange: str, symbol: str) -> Decimal | None:
    """The mid price of the latest book, else of the latest ticker; None without both sides."""
    for data_type in MARKET_DATA_TYPES[1::-1]:
        last = await newest(redis, str(MarketStream.of(exchange, symbol, data_type)))
        if last is not None and (price := middle(last.fields)) is not None:
            return price
    return None


def middle(quote: dict[str, Any]) -> Decimal | None:
    """The mid price of a book or a ticker; None without both sides. Pure."""
    try:
        if "bids" in quote:
            bid, ask = quote["bids"][0]["price"], quote["asks"][0]["price"]
        else:
            bid, ask = quote["bid_price"], quote["ask_price"]
        found = (Decimal(str(bid)) + Decimal(str(ask))) / 2
    except (KeyError, IndexError, TypeError, ArithmeticError):
        return None
    return found if found.is_finite() else None


def rounded(value: Decimal | None) -> Decimal | None:
    """Rounded to 12 decimals: divisions leave digits beyond the smallest unit of any asset."""
    return None if value is None else round(value, 12)


def total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Their sum; None if one is unknown."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known, NOTHING) if len(known) == len(found) else None


async def positions(
    redis: Redis,
    ledger: PositionLedger,
    exchange: str | None,
    symbol: str | None,
    *,
    flat: bool,
    as_json: bool,
) -> ExitCode:
    """Show the open positions; with *flat*, also the closed ones."""
    found = await ledger.held(redis, exchange, symbol)
    wanted = [each for each in found if flat or each.position.quantity]
    if as_json:
        show.as_json([each.row for each in wanted])
        return ExitCode.DONE
    table(
        "positions of all orders through the connectors" if wanted else "no positions",
        ("market", "quantity", "average price", "price now", "value", "unrealised"),
        [
            (
                f"{each.exchange} {each.symbol}",
                each.position.quantity,
                shortened(each.average),
                shortened(each.position.price),
                shortened(each.value),
                gain(each.unrealised),
            )
            for each in wanted
        ],
    )
    return ExitCode.DONE


def shortened(value: Decimal | None) -> Decimal | None:
    """Rounded for reading."""
    return None if value is None else amount(value)


def gain(value: Decimal | None) -> Gain | None:
    """A profit as a table cell."""
    return None if value is None else Gain(value)
