"""INDICATORS: what is meant is understood, and what can't be gets an error that says what can."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common_models.stream_names import IndicatorStream, parse
from services.indicators.configuration import ConfigurationError, Source
from services.indicators.plugins import Plugins
from tests.unit.indicators.configured import wanted

words = st.one_of(
    st.sampled_from(["rsi", "bb", "macd", "14", "2.5", "close", "@", "@5m", "@trade", "_", ":"]),
    st.from_regex(r"[0-9]{1,400}", fullmatch=True),
    st.text(max_size=3),
)
entries = st.one_of(
    st.text(),
    st.lists(words, max_size=8).map(lambda parts: "luno:XBT/ZAR:" + "_".join(parts)),
    st.lists(words, max_size=8).map(lambda parts: "luno:XBT/ZAR:rsi_14" + "".join(parts)),
)


def test_the_name_is_the_plugin_and_its_numbers_and_the_source_follows() -> None:
    """The name is the stream's, as it stands."""
    (found,) = wanted("binance:BTC/USDT:rsi_14@5m")
    assert (found.plugin.name, found.numbers) == ("rsi", (14,))
    assert found.source == Source("5m", timedelta(minutes=5))
    assert found.names == ("rsi_14",)
    assert found.streams == ("indicators:rsi_14:binance:BTCUSDT",)
    assert str(found.market_stream) == "binance:BTCUSDT:trades"


@pytest.mark.parametrize(
    ("entry", "stream"),
    [
        ("luno:XBT/ZAR:ema_20", "indicators:ema_20:luno:XBTZAR"),
        ("luno:xbt/zar:ema_20_close", "indicators:ema_20_close:luno:XBTZAR"),
        ("luno:XBT/ZAR:rsi_14_5m@5m", "indicators:rsi_14_5m:luno:XBTZAR"),
        ("luno:XBT/ZAR:bb_20_2.5", "indicators:bb_20_2.5:luno:XBTZAR"),
    ],
)
def test_a_suffix_belongs_to_the_name(entry: str, stream: str) -> None:
    """It tells two apart, or says what the contract's names say."""
    assert wanted(entry)[0].streams[0] == stream


def test_without_a_source_candles_of_a_minute_are_meant() -> None:
    """As with @1m."""
    assert wanted("luno:XBT/ZAR:rsi_14")[0].source == wanted("luno:XBT/ZAR:rsi_14@1m")[0].source


def test_tickers_are_read_from_their_own_stream() -> None:
    """Trades and candles from the trades."""
    (found,) = wanted("luno:XBT/ZAR:rsi_14@ticker")
    assert str(found.market_stream) == "luno:XBTZAR:ticker"


def test_several_values_are_several_streams() -> None:
    """Each output's name stands behind the indicator's, and behind its suffix."""
    macd, bands = wanted("luno:XBT/ZAR:macd_12_26_9", "luno:XBT/ZAR:bb_20_2_5m@5m")
    assert macd.names == ("macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist")
    assert bands.names == ("bb_20_2_5m", "bb_20_2_5m_upper", "bb_20_2_5m_lower")


FORM = r"expected <exchange>:<SYMBOL>:<name>\[@<source>\], e\.g\. binance:BTC/USDT:rsi_14@1m"


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("rsi_14", FORM),
        ("binance:BTC/USDT", FORM),
        ("binance:BTC/USDT:rsi_14@", FORM),
        ("binanse:BTC/USDT:rsi_14", "no exchange 'binanse': expected one of binance, luno"),
        (
            "binance:BTCUSDT:rsi_14",
            (
                r"'BTCUSDT' isn't watched on binance: expected one of BTC/USDT, ETH/USDT "
                r"\(BINANCE_SYMBOLS says which\)"
            ),
        ),
        (
            "binance:BTC/USDT:rsj_14",
            (
                r"no indicator 'rsj_14': expected one of atr_<period>, bb_<period>_<deviations>, "
                r"ema_<period>, macd_<fast>_<slow>_<signal>, rsi_<period>, sma_<period>, "
                r"or the dotted path of your own in INDICATOR_PLUGINS"
            ),
        ),
        ("binance:BTC/USDT:rsi", "'rsi' has 0 numbers: expected rsi_<period>"),
        ("binance:BTC/USDT:rsi_5m", "'rsi_5m' has 0 numbers: expected rsi_<period>"),
        ("binance:BTC/USDT:rsi_14_3", "'rsi_14_3' has 2 numbers: expected rsi_<period>"),
        ("binance:BTC/USDT:rsi_14.5", r"'rsi_14\.5': period 14\.5: expected a whole number"),
        ("binance:BTC/USDT:rsi_0", "period 0: expected 2 to 1000"),
        ("binance:BTC/USDT:ema_20_high", "would claim to be made of high; expected another suffix"),
        ("binance:BTC/USDT:rsi_14_ä", "'rsi_14_ä' in a stream name: expected an indicator's name"),
        ("binance:BTC/USDT:rsi_14@7m", "source '7m' is not a timeframe: .* or trade, or ticker"),
    ],
)
def test_what_cannot_be_used_gets_an_error_that_says_what_can(entry: str, error: str) -> None:
    """It begins with the entry itself."""
    with pytest.raises(ConfigurationError, match=f"^{entry!r}: .*{error}"):
        wanted(entry)


@pytest.mark.parametrize(
    "entries",
    [
        ("luno:XBT/ZAR:rsi_14@1m", "luno:XBT/ZAR:rsi_14@5m"),
        ("luno:XBT/ZAR:rsi_14", "luno:XBT/ZAR:rsi_14"),
        ("luno:XBT/ZAR:bb_20_2", "luno:XBT/ZAR:bb_20_2_upper@trade"),
    ],
)
def test_two_that_would_share_a_stream_are_refused(entries: tuple[str, str]) -> None:
    """Both are named, and what tells two apart."""
    with pytest.raises(ConfigurationError, match=r"and .*both publish to indicators:.*suffix"):
        wanted(*entries)


def test_the_same_name_on_another_pair_is_another_stream() -> None:
    """Or on another exchange."""
    assert len(wanted("binance:BTC/USDT:rsi_14", "binance:ETH/USDT:rsi_14")) == 2


def test_all_faults_are_reported_at_once() -> None:
    """One line each."""
    with pytest.raises(ConfigurationError) as failure:
        wanted("binance:BTC/USDT:rsj_14", "binance:BTC/USDT:rsi_14", "luno:BTC/USDT:rsi_14")
    assert [line.partition(": ")[0] for line in str(failure.value).splitlines()] == [
        "'binance:BTC/USDT:rsj_14'",
        "'luno:BTC/USDT:rsi_14'",
    ]


def test_a_plugin_that_remembers_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value depends on one candle at least: the last."""
    monkeypatch.setattr("tests.unit.indicators.some_plugins.Highest.REMEMBERS", 0)
    plugins = Plugins(["tests.unit.indicators.some_plugins.Highest"])
    with pytest.raises(
        ConfigurationError, match=r"Highest: memory is 0; expected 1 or more candles"
    ):
        wanted("luno:XBT/ZAR:highest_3", plugins=plugins)


@given(entries)
def test_whatever_is_written_there_is_understood_or_refused_with_one_line(entry: str) -> None:
    """No other error, and what is understood has streams that the contract allows."""
    fault, found = "", []
    try:
        found = wanted(entry)
    except ConfigurationError as e:
        fault = str(e)
    assert found or fault.startswith(repr(entry))
    assert all(isinstance(parse(stream), IndicatorStream) for w in found for stream in w.streams)
