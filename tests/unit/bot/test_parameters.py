"""Parameters of strategies: what a class declares, what is given, what is said of faults."""

from decimal import Decimal
from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from services.bot.parameters import ParameterError, declared, describe, fill_in, read
from services.bot.strategies import BUILT_IN, RsiReversion, SmaCrossover
from services.bot.strategy import Market, Strategy

MARKET = cast(Market, None)


class Everything(Strategy):
    """Has a parameter of each kind."""

    count: int = Field(3, ge=1, le=9, description="how many")
    share: float = Field(0.5, gt=0, lt=1)
    money: Decimal = Field(Decimal("1.5"), ge=0)
    loud: bool = Field(False)
    way: Literal["up", "down"] = Field("up")
    word: str = Field(max_length=3)


def test_parameters_are_typed_fields_of_the_class_with_defaults() -> None:
    """Texts, as they stand in STRATEGIES, become what the class says."""
    given = {"count": "5", "money": "0.10", "loud": "true", "way": "down", "word": "x"}
    found = Everything(MARKET, **given)
    assert (found.count, found.share, found.money) == (5, 0.5, Decimal("0.10"))
    assert (found.loud, found.way, found.word) == (True, "down", "x")
    assert declared(Everything) == ["count", "share", "money", "loud", "way", "word"]


def test_each_instance_has_values_of_its_own() -> None:
    """And the class has none."""
    quick, slow = SmaCrossover(MARKET, fast=5, slow=9), SmaCrossover(MARKET)
    assert (quick.fast, slow.fast) == (5, 20)
    assert quick.indicators == ("sma_5", "sma_9")
    assert slow.indicators == ("sma_20", "sma_50")


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (
            {"count": "x"},
            "count='x': expected a whole number, at least 1, at most 9 (3 unless given)",
        ),
        ({"count": "10"}, "count='10': expected a whole number, at least 1, at most 9"),
        ({"count": "1.5"}, "count='1.5': expected a whole number"),
        (
            {"share": "0"},
            "share='0': expected a number, more than 0, less than 1 (0.5 unless given)",
        ),
        ({"share": "nan"}, "share='nan': expected a number"),
        ({"money": "much"}, "money='much': expected a number, at least 0"),
        ({"loud": "perhaps"}, "loud='perhaps': expected true or false (False unless given)"),
        ({"way": "left"}, "way='left': expected one of up, down ('up' unless given)"),
        ({"word": "long"}, "word='long': String should have at most 3 characters; expected a text"),
        ({"word": None}, "word=None: expected a text"),
        ({"coun": "1"}, "no parameter 'coun': expected count: a whole number, at least 1"),
    ],
)
def test_an_invalid_parameter_is_reported_with_its_name_its_value_and_what_is_expected(
    wrong: dict[str, Any], fault: str
) -> None:
    """One sentence for each."""
    with pytest.raises(ParameterError) as e:
        read(Everything, {"word": "x", **wrong})
    assert fault in str(e.value)
    assert "; " not in str(e.value) or "no parameter" in fault or "String" in fault


def test_a_parameter_without_a_default_must_be_given() -> None:
    """The error says what it is."""
    with pytest.raises(ParameterError, match="word is missing: expected a text"):
        read(Everything, {})


def test_an_error_contains_the_description_of_the_parameter() -> None:
    """Type, bounds, default, description."""
    said = "a whole number, at least 1, at most 9 (3 unless given): how many"
    assert describe(Everything, "count") == said


@given(st.integers(-2000, 2000))
def test_a_number_is_taken_within_its_bounds_and_nowhere_else(number: int) -> None:
    """As a text, and as a number."""
    for given_ in (number, str(number)):
        if 2 <= number <= 1000:
            assert read(RsiReversion, {"period": given_})["period"] == number
        else:
            with pytest.raises(ParameterError, match="period="):
                read(RsiReversion, {"period": given_})


@pytest.mark.parametrize(
    ("cls", "given_", "fault"),
    [
        (SmaCrossover, {"fast": 50}, "fast=50: expected less than slow=50"),
        (RsiReversion, {"oversold": 80}, "oversold=80: expected less than overbought=70"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(
    cls: type[Strategy], given_: dict[str, Any], fault: str
) -> None:
    """By the strategy itself."""
    with pytest.raises(ParameterError, match=fault):
        cls(MARKET, **given_)


class Untyped(Strategy):
    """Says no type."""

    fast = Field(20)


class Taken(Strategy):
    """Wants a name that every strategy has."""

    on_trade: int = Field(20)  # type: ignore[assignment]


class OutsideItself(Strategy):
    """Has a default that its own bounds refuse."""

    fast: int = Field(0, ge=1)


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (
            Untyped,
            "Untyped.fast can't be a parameter: expected a name that no strategy has, and a t",
        ),
        (Taken, "Taken.on_trade can't be a parameter"),
        (OutsideItself, "fast=0: expected a whole number, at least 1"),
    ],
)
def test_a_class_that_declares_what_cannot_be_is_refused(cls: type[Strategy], fault: str) -> None:
    """It is named."""
    with pytest.raises(ParameterError) as e:
        read(cls, {})
    assert fault in str(e.value)


def test_names_are_filled_in_with_parameters() -> None:
    """Those that are left empty are dropped; what isn't a parameter is told."""
    values = {"fast": 5, "more": "", "wide": 2.0}
    assert fill_in(("sma_{fast}", "{more}", "bb_{wide:g}"), values) == ("sma_5", "bb_2")
    for wrong in ("sma_{slow}", "sma_{}", "sma_{", "{fast.x}"):
        with pytest.raises(ParameterError, match="expected the name of a parameter in braces"):
            fill_in((wrong,), values)


@pytest.mark.parametrize("cls", BUILT_IN.values(), ids=list(BUILT_IN))
def test_ours_say_what_each_of_their_parameters_means(cls: type[Strategy]) -> None:
    """Nobody has to read the code."""
    for name in declared(cls):
        assert ": " in describe(cls, name), name
