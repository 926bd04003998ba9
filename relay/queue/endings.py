"""How jobs end without a report: the sentences, and what the scripts are told of each ending."""

from typing import Any, Final

from relay.queue.rq_form import failure, return_value, shown_result
from relay.records import outcome_json
from wire.models import ErrorDetail, Outcome
from wire.vocab import Conclusion, JobStatus

_LOST = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.AGENT_LOST,
    error=ErrorDetail(
        code="agent_lost",
        detail="agent after agent took this link and none came back with a result",
    ),
)
_EXPIRED_REASON: Final = "no agent took the link in time; is one running that serves this source?"
_REFRESH_EXPIRED_REASON: Final = (
    "no agent that serves %s read it in time; %s announced it last. Is it running, and registered "
    "with linkrow source add?"
)
_LOST_REFRESH_REASON: Final = (
    "agent after agent began to read the source and none finished; see the agent's log"
)
_UNABLE_REASON: Final = "no agent that can do %s took the link in time"
SUPERSEDED_REASON: Final = "a newer check of this row replaced it"
CANCELED_REASON: Final = "canceled by a caller"
SOURCE_DELETED_REASON: Final = "its source was deleted by a caller"
_DELETED_REASON: Final = "deleted from the queue by hand"
RQ_CANCELED_REASON: Final = "canceled through RQ by hand"
UNSERVED_REASON: Final = "no agent that serves the source came back to write the row"


def ending_terms(*, max_deliveries: int) -> dict[str, Any]:
    """What every script that may end a job is told."""
    return {
        "max_deliveries": max_deliveries,
        "lost_outcome": outcome_json(_LOST),
        "lost_result": shown_result(_LOST),
        "expired_reason": _EXPIRED_REASON,
        "deleted_reason": _DELETED_REASON,
        "unable_reason": _UNABLE_REASON,
        "refresh_expired_reason": _REFRESH_EXPIRED_REASON,
        "no_device": "no device",
        "lost_refresh_reason": _LOST_REFRESH_REASON,
        "lost_refresh_result": failure(_LOST_REFRESH_REASON),
        "expired_result": return_value({"conclusion": Conclusion.JOB_EXPIRED}),
    }
