"""Time windows: days and hours in a zone, over midnight, and where the clocks change."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from cowork.domain.policy_document import TimeWindow
from cowork.domain.policy_window import find_fault, is_open
from tests.domain.policy.naive_condition import window_state

BERLIN = "Europe/Berlin"
NIGHT = {"from": "22:00", "to": "06:00"}
FRIDAY_NIGHT = {**NIGHT, "days": ["fri"]}
HALF_PAST_TWO = {"from": "02:30", "to": "02:31", "tz": BERLIN}
TABLE: list[tuple[dict[str, Any], str, bool]] = [
    ({}, "2026-01-14T00:00:00Z", True),
    ({"from": "08:00", "to": "18:00"}, "2026-01-14T07:59:59.999Z", False),
    ({"from": "08:00", "to": "18:00"}, "2026-01-14T08:00:00Z", True),
    ({"from": "08:00", "to": "18:00"}, "2026-01-14T17:59:59.999Z", True),
    ({"from": "08:00", "to": "18:00"}, "2026-01-14T18:00:00Z", False),
    ({"from": "08:00", "to": "18:00"}, "2026-01-14T18:30:00+09:00", True),
    ({"from": "23:59", "to": "24:00"}, "2026-01-14T23:59:00Z", True),
    ({"from": "00:00", "to": "00:01"}, "2026-01-14T00:00:59Z", True),
    ({"from": "09:00", "to": "09:00"}, "2026-01-14T09:00:00Z", False),
    ({"from": "00:00", "to": "24:00", "days": ["wed"]}, "2026-01-14T23:59:00Z", True),
    ({"from": "00:00", "to": "24:00", "days": ["wed"]}, "2026-01-15T00:00:00Z", False),
    ({"days": []}, "2026-01-14T12:00:00Z", False),
    (NIGHT, "2026-01-14T22:00:00Z", True),
    (NIGHT, "2026-01-14T21:59:00Z", False),
    (NIGHT, "2026-01-14T05:59:00Z", True),
    (NIGHT, "2026-01-14T06:00:00Z", False),
    (FRIDAY_NIGHT, "2026-01-16T23:00:00Z", True),
    (FRIDAY_NIGHT, "2026-01-17T05:00:00Z", True),
    (FRIDAY_NIGHT, "2026-01-16T05:00:00Z", False),
    (FRIDAY_NIGHT, "2026-01-17T23:00:00Z", False),
    ({"from": "24:00", "to": "06:00", "days": ["fri"]}, "2026-01-17T05:00:00Z", True),
    # A day is a day of the zone.
    ({"days": ["thu"], "tz": "Asia/Tokyo"}, "2026-01-14T15:00:00Z", True),
    ({"days": ["thu"], "tz": "Asia/Tokyo"}, "2026-01-14T14:59:00Z", False),
    ({"days": ["tue"], "tz": "America/New_York"}, "2026-01-14T04:59:00Z", True),
    # Berlin is one hour ahead of UTC in winter and two in summer.
    ({"from": "08:00", "to": "18:00", "tz": BERLIN}, "2026-01-14T07:00:00Z", True),
    ({"from": "08:00", "to": "18:00", "tz": BERLIN}, "2026-07-14T06:00:00Z", True),
    ({"from": "08:00", "to": "18:00", "tz": BERLIN}, "2026-07-14T16:00:00Z", False),
    # On 2026-03-29 Berlin's clocks go from 02:00 to 03:00: 02:30 does not occur.
    (HALF_PAST_TWO, "2026-03-29T00:30:00Z", False),
    (HALF_PAST_TWO, "2026-03-29T01:30:00Z", False),
    ({"from": "03:00", "to": "03:01", "tz": BERLIN}, "2026-03-29T01:00:00Z", True),
    ({"from": "01:59", "to": "02:00", "tz": BERLIN}, "2026-03-29T00:59:59Z", True),
    # On 2026-10-25 they go from 03:00 back to 02:00: 02:30 occurs twice.
    (HALF_PAST_TWO, "2026-10-25T00:30:00Z", True),
    (HALF_PAST_TWO, "2026-10-25T01:30:00Z", True),
    (HALF_PAST_TWO, "2026-10-25T02:30:00Z", False),
    # A window over midnight belongs to the day on which it begins, in the night of the change too.
    ({**NIGHT, "days": ["sat"], "tz": BERLIN}, "2026-03-29T03:59:00Z", True),
    ({**NIGHT, "days": ["sat"], "tz": BERLIN}, "2026-03-29T04:00:00Z", False),
    ({**NIGHT, "days": ["sat"], "tz": BERLIN}, "2026-10-25T04:59:00Z", True),
    ({**NIGHT, "days": ["sat"], "tz": BERLIN}, "2026-10-25T05:00:00Z", False),
    ({"notBefore": "2026-03-01T00:00:00Z"}, "2026-02-28T23:59:59Z", False),
    ({"notBefore": "2026-03-01T00:00:00Z"}, "2026-03-01T00:00:00Z", True),
    ({"notBefore": "2026-03-01T00:00:00Z"}, "2026-03-01T00:59:59+01:00", False),
    ({"notAfter": "2026-04-01T00:00:00+02:00"}, "2026-03-31T21:59:59Z", True),
    ({"notAfter": "2026-04-01T00:00:00+02:00"}, "2026-03-31T22:00:00Z", False),
    ({"notAfter": "2026-04-01T00:00:00Z", "from": "08:00", "to": "09:00"}, "2026-03-31T10:00:00Z", False),
]


@pytest.mark.parametrize(("window", "now", "opens"), TABLE)
def test_a_window_is_open_at_an_instant_or_not(window: dict[str, Any], now: str, opens: bool) -> None:
    instant = datetime.fromisoformat(now)
    assert is_open(msgspec.convert(window, TimeWindow), instant) is opens
    assert window_state(window, instant) is opens


def test_over_two_changes_of_the_clocks_both_evaluators_agree_each_quarter_of_an_hour() -> None:
    windows: list[dict[str, Any]] = [
        HALF_PAST_TWO,
        {**NIGHT, "days": ["sat"], "tz": BERLIN},
        {"from": "02:00", "to": "03:00", "tz": BERLIN},
    ]
    for start in ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"):
        for quarter in range(200):
            now = datetime.fromisoformat(start) + timedelta(minutes=15 * quarter)
            for window in windows:
                assert is_open(msgspec.convert(window, TimeWindow), now) is window_state(window, now)


@pytest.mark.parametrize(
    ("window", "fault"),
    [
        ({}, ""),
        ({"from": "24:00", "to": "00:00"}, ""),
        ({"notBefore": "2026-03-01T00:00:00+05:30"}, ""),
        ({"from": "8:00"}, "`8:00` is not a time of day such as 08:30"),
        ({"to": "24:01"}, "`24:01` is not a time of day such as 08:30"),
        ({"to": "23:60"}, "`23:60` is not a time of day such as 08:30"),
        ({"from": "08:00:00"}, "`08:00:00` is not a time of day such as 08:30"),
        ({"from": ""}, "`` is not a time of day such as 08:30"),
        ({"notBefore": "soon"}, "`soon` is not an instant such as 2026-03-01T00:00:00Z"),
        ({"notAfter": "2026-03-01"}, "`2026-03-01` is not an instant such as 2026-03-01T00:00:00Z"),
        ({"notAfter": "2026-03-01T00:00:00"}, "`2026-03-01T00:00:00` is not an instant such as 2026-03-01T00:00:00Z"),
        ({"tz": "Europe/Atlantis"}, "`Europe/Atlantis` is not a time zone such as Europe/Berlin"),
        ({"tz": "../etc/passwd"}, "`../etc/passwd` is not a time zone such as Europe/Berlin"),
    ],
)
def test_a_window_that_says_nothing_sensible_is_named(window: dict[str, str], fault: str) -> None:
    assert find_fault(msgspec.convert(window, TimeWindow)) == fault


@pytest.mark.parametrize("window", [{"from": "8"}, {"notBefore": "2026-03-01T00:00:00"}, {"tz": "Nowhere/At_All"}])
def test_a_window_that_says_nothing_sensible_is_never_just_closed(window: dict[str, str]) -> None:
    with pytest.raises((ValueError, KeyError)):
        is_open(msgspec.convert(window, TimeWindow), datetime.fromisoformat("2026-01-14T00:00:00Z"))
