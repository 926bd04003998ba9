"""How the relay says no: a code of ``wire.problems``, a sentence, and what else helps."""

from collections.abc import Sequence

from wire.problems import PROBLEMS, FieldError, Problem


class Refusal(Exception):
    """One answer of the kind RFC 9457 describes. *retry_after* is in seconds."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        errors: Sequence[FieldError] = (),
        extra: dict[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = PROBLEMS[code]
        self.detail = detail
        self.retry_after = retry_after
        self.errors = list(errors)
        self.extra = extra or {}

    def body(self, request_id: str) -> bytes:
        """The JSON that is sent."""
        problem = Problem(
            type=f"urn:linkrow:problem:{self.problem.code}",
            title=self.problem.title,
            status=self.problem.status,
            code=self.problem.code,
            detail=self.detail,
            request_id=request_id,
            errors=self.errors or None,
            **self.extra,
        )
        return problem.model_dump_json(exclude_none=True).encode()


def refuse(
    code: str,
    detail: str,
    *,
    retry_after: int | None = None,
    errors: Sequence[FieldError] = (),
    **extra: object,
) -> Refusal:
    """A refusal to be raised; *extra* are members of its body."""
    return Refusal(code, detail, retry_after=retry_after, errors=errors, extra=extra)


def bad_shape(faults: Sequence[tuple[str, str]]) -> Refusal:
    """A refusal of a body; *faults* are (JSON Pointer, what is wrong there)."""
    errors = [FieldError(pointer=where, detail=why) for where, why in faults]
    first = errors[0]
    where = f"{first.pointer}: " if first.pointer else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return refuse("invalid_request", f"{where}{first.detail}{more}", errors=errors)
