"""What a refused call looks like: Google's error object, its status word and its HTTP status."""

from typing import Any

STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """A refusal in the shape of the v4 API; nothing of the refused call is applied."""

    def __init__(
        self,
        message: str,
        *,
        code: int = 400,
        status: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or STATUS_WORDS[code]
        self.details = details

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "status": self.status,
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def within(self, place: str) -> "ApiError":
        """The same refusal, said of one part of the body: `Invalid requests[0].addSheet: ...`."""
        return ApiError(
            f"Invalid {place}: {self.message}",
            code=self.code,
            status=self.status,
            details=self.details,
        )


def unknown_name(name: str, place: str) -> ApiError:
    """Google's answer to a field that its message does not have."""
    at = f" at '{place}'" if place else ""
    sentence = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
    return bad_payload(sentence, place)


def bad_value(place: str, type_name: str, value: object) -> ApiError:
    """Google's answer to a value that its field cannot hold."""
    shown = f'"{value}"' if isinstance(value, str) else _shown(value)
    sentence = f"Invalid value at '{place}' ({type_name}), {shown}"
    return bad_payload(sentence, place)


def bad_payload(sentence: str, place: str) -> ApiError:
    violation = {"field": place, "description": sentence} if place else {"description": sentence}
    return ApiError(
        sentence,
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [violation],
            }
        ],
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def not_found() -> ApiError:
    return ApiError("Requested entity was not found.", code=404)


def forbidden() -> ApiError:
    return ApiError("The caller does not have permission", code=403)


class DriveError(Exception):
    """A refusal in the shape of the Drive API, which lists its reasons."""

    def __init__(self, code: int, reason: str, message: str, *, location: str | None = None):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.location = location

    def body(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "message": self.message,
            "domain": "global",
            "reason": self.reason,
        }
        if self.location:
            entry["location"] = self.location
            entry["locationType"] = "parameter"
        return {"error": {"code": self.code, "message": self.message, "errors": [entry]}}


def file_not_found(file_id: str) -> DriveError:
    return DriveError(404, "notFound", f"File not found: {file_id}.", location="fileId")
