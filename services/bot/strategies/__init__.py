"""The built-in strategies; each is off until STRATEGIES names it."""

from services.bot.strategies.do_nothing import DoNothing
from services.bot.strategies.price_difference import PriceDifference
from services.bot.strategies.rsi_reversion import RsiReversion
from services.bot.strategies.sma_crossover import SmaCrossover

BUILT_IN = {
    "do_nothing": DoNothing,
    "price_difference": PriceDifference,
    "rsi_reversion": RsiReversion,
    "sma_crossover": SmaCrossover,
}

__all__ = ["OURS", "DoNothing", "PriceDifference", "RsiReversion", "SmaCrossover"]
