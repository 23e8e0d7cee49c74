"""Limits of the position and of the daily loss, by the same rules as the bot's. Pure."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from common_models.fields import Side
from services._connector_kit.orders.account.order_status import ZERO
from services._connector_kit.orders.execution.rules import text
from services._connector_kit.orders.ports import Rejection
from services._connector_kit.orders.settings import TradingSettings
from services._runtime.position import Position, lost_today


class WorkingOrder(NamedTuple):
    """An order that may still trade; `left`: the remaining quantity in the base asset."""

    symbol: str
    side: Side
    left: Decimal


class ProposedOrder(NamedTuple):
    """An order to be sent; `price`: its limit, or the worst price that a market order pays."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1


class PositionLimits:
    """RISK_MAX_POSITION and RISK_MAX_DAILY_LOSS; neither rejects an order that reduces a position.

    `mark` returns the current price of a symbol; without one, the last stored price is used.
    """

    def __init__(self, settings: TradingSettings, mark: Callable[[str], Decimal | None]) -> None:
        self._settings = settings
        self._mark = mark
        self._all_small = False  # no open order is larger than RISK_MAX_QUANTITY

    def certainly_allowed(
        self, order: ProposedOrder, positions: Mapping[str, Position], others: int
    ) -> bool:
        """Whether *order* keeps the limits for any *others*, the number of other open orders.

        Each of them is assumed to be of RISK_MAX_QUANTITY at most. That holds once `rejection` has
        seen that none is larger: an earlier run may have had another limit.
        """
        if others and not self._all_small:
            return False
        base, _, quote = order.symbol.partition("/")
        settings = self._settings
        held = abs(_net(positions, order.symbol))
        most = held + order.quantity + others * settings.risk_max_quantity[base]
        return (
            most * order.price <= settings.risk_max_position[quote]
            and self._lost(positions, quote) < settings.risk_max_daily_loss[quote]
        )

    def reduces(
        self,
        order: ProposedOrder,
        positions: Mapping[str, Position],
        others: Iterable[WorkingOrder],
    ) -> bool:
        """Whether *order* reduces the position, even if the *others* of its side fill first."""
        held = _position_after(order, positions, others)
        return held * order.sign < 0 and order.quantity <= abs(held)

    def rejection(
        self,
        order: ProposedOrder,
        positions: Mapping[str, Position],
        others: Iterable[WorkingOrder],
    ) -> Rejection | None:
        """Why *order* must not be sent, given the open *others*; None if it may be sent."""
        others = list(others)
        self._all_small = all(
            other.left <= self._settings.risk_max_quantity.get(_base(other.symbol), ZERO)
            for other in others
        )
        if self.reduces(order, positions, others):
            return None
        held = _position_after(order, positions, others)
        after = held + order.sign * order.quantity
        base, _, quote = order.symbol.partition("/")
        most = self._settings.risk_max_position[quote]
        if abs(after) * order.price > most:
            return Rejection(
                "max_position",
                f"the position would be {text(after)} {base}, worth "
                f"{text(abs(after) * order.price)} {quote}; RISK_MAX_POSITION allows {text(most)}",
            )
        lost, most = self._lost(positions, quote), self._settings.risk_max_daily_loss[quote]
        if lost >= most:
            return Rejection(
                "max_daily_loss",
                f"{text(lost)} {quote} lost since midnight UTC; RISK_MAX_DAILY_LOSS allows "
                f"{text(most)}; only what makes the position ({text(held)} {base}) smaller is sent",
            )
        return None

    def _lost(self, positions: Mapping[str, Position], quote: str) -> Decimal:
        """The loss in the asset *quote* since midnight UTC, at current prices."""
        found = [(s, held) for s, held in positions.items() if s.partition("/")[2] == quote]
        for symbol, held in found:
            held.price = self._mark(symbol) or held.price
        return lost_today(held for _, held in found)


def _position_after(
    order: ProposedOrder, positions: Mapping[str, Position], others: Iterable[WorkingOrder]
) -> Decimal:
    """The position after the *others* of the order's side have filled."""
    on_the_way = sum((each.left for each in others if each[:2] == (order.symbol, order.side)), ZERO)
    return _net(positions, order.symbol) + order.sign * on_the_way


def _net(positions: Mapping[str, Position], symbol: str) -> Decimal:
    held = positions.get(symbol)
    return held.quantity if held else ZERO


def _base(symbol: str) -> str:
    return symbol.partition("/")[0]
