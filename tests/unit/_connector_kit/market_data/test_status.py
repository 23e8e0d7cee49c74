"""One symbol's status: what is live, syncing or stale, since when, and who hears of it."""

from common_models import RetryStatus
from services._connector_kit.market_data.status import FeedStatus
from services._runtime.health import Readiness
from services._runtime.supervise import Retry


def test_a_feed_starts_syncing_and_is_live_once_it_says_so() -> None:
    """`since` is the moment of the change, and readiness follows."""
    readiness = Readiness()
    status = FeedStatus("BTC/USDT", readiness)
    began = status.report()
    assert (began.state, began.reason) == ("syncing", "waiting for the first book")
    assert not readiness.ready
    status.live()
    report = status.report()
    assert (report.symbol, report.state, report.reason) == ("BTC/USDT", "live", None)
    assert report.since > began.since
    assert readiness.ready


def test_only_a_change_of_state_moves_since_and_is_published() -> None:
    """A feed that goes on failing for another reason isn't news, but its reason is the latest."""
    status, told = FeedStatus("BTC/USDT", Readiness()), []
    status.on_change = lambda: told.append(status.state)
    status.stale("the socket is gone")
    since = status.report().since
    status.stale("no answer from the venue")
    assert status.report().since == since
    assert status.report().reason == "no answer from the venue"
    status.syncing("the socket is new")
    status.live()
    status.live()
    assert told == ["stale", "syncing", "live"]


def test_a_feed_that_is_tried_again_says_which_attempt_failed() -> None:
    """On `/ready` and in its report, until it is synced anew."""
    readiness = Readiness()
    status = FeedStatus("BTC/USDT", readiness)
    status.live()
    status.retrying(Retry("refused", 4, 0.0))
    report = status.report()
    assert (report.state, report.reason) == ("stale", "refused")
    assert report.retry == RetryStatus(attempt=4, next_try_in=0)
    assert readiness.report()["parts"] == {"feed BTC/USDT": "stale: refused"}
    assert readiness.report()["retries"]["feed BTC/USDT"]["attempt"] == 4
    status.syncing("the socket is new")
    assert status.report().retry is None
    assert readiness.report()["retries"] == {}


def test_sequence_age_and_losses_are_asked_of_the_feed() -> None:
    """Before the first frame there is no age."""
    status = FeedStatus("BTC/USDT", Readiness())
    assert (status.report().last_message_age, status.report().sequence) == (None, None)
    status.sequence = lambda: 42
    status.trades.lost = 7
    status.heard_at = 0.0  # when this machine was started, or so
    report = status.report()
    assert (report.sequence, report.trades_lost) == (42, 7)
    assert report.last_message_age is not None
    assert report.last_message_age > 0


def test_a_feed_that_is_polled_works_and_says_how_old_it_becomes() -> None:
    """It is as ready as a live one; losing it counts as losing a live one does."""
    readiness = Readiness()
    status = FeedStatus("XBT/ZAR", readiness)
    status.polled(16.4)
    report = status.report()
    assert (report.state, report.reason) == ("polled", "asked for by REST, up to 16 s old")
    assert report.works
    assert readiness.ready
    assert status.not_live_for == 0.0
    status.note("venue_ids_restarted")
    assert status.report().reason == "asked for by REST, up to 16 s old; venue_ids_restarted"
    status.polled(20.0)
    status.stale("no answer")
    assert not status.report().works
    assert status.resyncs == 1


def test_what_the_market_takes_is_asked_where_it_is_known() -> None:
    """Until somebody knows better it trades."""
    status = FeedStatus("XBT/ZAR", Readiness())
    assert status.report().market_status == "trading"
    status.market = lambda: "post_only"
    assert status.report().market_status == "post_only"


def test_a_note_is_the_reason_while_the_feed_is_live() -> None:
    """It may come before the feed is live, is told at once, and ends with that life."""
    status, told = FeedStatus("BTC/USDT", Readiness()), []
    status.on_change = lambda: told.append(status.report().reason)
    status.syncing("the socket is new")
    status.note("venue_ids_restarted")
    assert status.report().reason == "the socket is new"
    status.live()
    assert status.report().reason == "venue_ids_restarted"
    status.stale("the socket is gone")
    status.live()
    assert told == ["the socket is new", "venue_ids_restarted", "the socket is gone", None]
