"""What can go wrong between us and a relay.

RelayError
    BadRelayUrl
    Unreachable
    NotARelay
    Refused
"""

from collections.abc import Sequence

from wire.problems import PROBLEMS, FieldError


class RelayError(Exception):
    """The relay did not do what it was asked. *permanent*: asking again will not help.

    *code* is for machines; a refusal's is the relay's own.
    """

    permanent: bool = False
    code: str = "relay_error"


class BadRelayUrl(RelayError):
    """What was given as a relay's address is none."""

    permanent = True
    code = "bad_relay_url"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url!r} is no relay's address: {why}; try http://127.0.0.1:8790")
        self.url = url


class Unreachable(RelayError):
    """No answer came, or only a part of one: what the relay did with the request is not known."""

    code = "relay_unreachable"

    def __init__(self, url: str, why: str, *, permanent: bool = False) -> None:
        super().__init__(f"the relay at {url} does not answer: {why}")
        self.url = url
        self.why = why
        self.permanent = permanent


class NotARelay(RelayError):
    """Something answered, but not as a relay answers."""

    code = "not_a_relay"

    def __init__(self, url: str, *, status: int, why: str) -> None:
        super().__init__(
            f"what answers at {url} is not a Linkrow relay (status {status}, {why}); "
            "check the address"
        )
        self.url = url
        self.status = status
        # A gateway whose relay is just away says 502 in HTML; a website says 200, 404 or 501.
        self.permanent = status not in (408, 425, 429, 500) and not (502 <= status <= 504)


class Refused(RelayError):
    """The relay said no, in *code* and in words. *retry_after* is in seconds, if it said so."""

    def __init__(
        self,
        *,
        code: str,
        status: int,
        detail: str,
        retry_after: float | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        sentence = f"the relay refused: {detail}"
        if errors:
            sentence += "".join(f"; {error.pointer}: {error.detail}" for error in errors[:3])
        super().__init__(sentence)
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.errors = tuple(errors)
        known = PROBLEMS.get(code)
        may_pass = known.retry if known else status in (408, 425, 429) or status >= 500
        # Somebody on the way repeated our bytes: signed anew it is another request.
        self.permanent = not (may_pass or code == "nonce_replayed")
