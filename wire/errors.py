"""What can go wrong while reading what travels.

WireError
    Malformed
    BadSignature
        OutsideWindow
"""

from datetime import timedelta


class WireError(Exception):
    """Anything that is wrong with bytes that came over the wire."""


class Malformed(WireError):
    """Something does not have the form it must have.

    *what* names the thing ("Linkrow-Nonce"), *why* says what is wrong with it.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class BadSignature(WireError):
    """The signature does not belong to this request and this secret."""

    def __init__(self, why: str = "the signature does not match") -> None:
        super().__init__(why)


class OutsideWindow(BadSignature):
    """Genuine, but signed too long ago or too far ahead. *age* is negative for the future."""

    def __init__(self, *, age: timedelta, tolerance: timedelta) -> None:
        super().__init__(
            f"signed {age.total_seconds():+.0f} s ago, accepted within "
            f"{tolerance.total_seconds():.0f} s; check both clocks"
        )
        self.age = age
        self.tolerance = tolerance
