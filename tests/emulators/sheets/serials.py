"""Dates as Sheets counts them: days since 1899-12-30, the time of day as a fraction."""

from datetime import datetime, timedelta

EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a sheet's dates have no zone)


def serial(moment: datetime) -> float | int:
    passed = moment - EPOCH
    seconds = passed.seconds + passed.microseconds / 1e6
    return passed.days + seconds / 86400 if seconds else passed.days


def moment_of(number: float) -> datetime:
    """The moment of a serial number, to the millisecond."""
    return EPOCH + timedelta(milliseconds=round(number * 86_400_000))
