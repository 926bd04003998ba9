"""Who a request speaks for, and the refusals of one that speaks for nobody."""

from dataclasses import dataclass

from tests.emulators.sheets.accounts import SHEETS_SCOPES, WRITING_SCOPES, Accounts
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.server import Request
from tests.emulators.sheets.store import OWNER

INVALID_TOKEN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie"
    " or other valid authentication credential. See"
    " https://developers.google.com/identity/sign-in/web/devconsole-project."
)
MISSING_TOKEN = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login"
    " cookie or other valid authentication credential. See"
    " https://developers.google.com/identity/sign-in/web/devconsole-project."
)
NO_KEYS = (
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication"
    " credentials that assert a principal. See"
    " https://cloud.google.com/docs/authentication"
)


@dataclass(frozen=True)
class Identity:
    """`email` is None for an API key, which may read what everybody may read."""

    email: str | None
    everything: bool = False  # nobody asked for a login: curl by hand, a replay
    may_write: bool = True


def identify(accounts: Accounts, request: Request, *, service: str, method: str) -> Identity:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        if "x-goog-api-key" in request.headers or any(k == "key" for k, _ in request.query):
            if request.method != "GET":
                raise _unauthenticated(NO_KEYS, "CREDENTIALS_MISSING", service, method)
            return Identity(None, may_write=False)
        if accounts.strict:
            raise _unauthenticated(MISSING_TOKEN, "CREDENTIALS_MISSING", service, method)
        return Identity(OWNER, everything=True)
    token = accounts.tokens.get(text)
    if token is None and not accounts.strict:
        return Identity(OWNER, everything=True)
    if token is None or token.account.revoked or token.expires <= accounts.clock():
        raise _unauthenticated(
            INVALID_TOKEN,
            "ACCESS_TOKEN_EXPIRED" if token else "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            service,
            method,
        )
    if not token.scopes & SHEETS_SCOPES:
        raise _scopes(service, method)
    return Identity(token.account.email, may_write=bool(token.scopes & WRITING_SCOPES))


def _unauthenticated(message: str, reason: str, service: str, method: str) -> ApiError:
    return ApiError(message, code=401, details=[_info(reason, service, method)])


def _scopes(service: str, method: str) -> ApiError:
    return ApiError(
        "Request had insufficient authentication scopes.",
        code=403,
        details=[_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service, method)],
    )


def scopes_refused(service: str, method: str) -> ApiError:
    return _scopes(service, method)


def _info(reason: str, service: str, method: str) -> dict[str, object]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service, "method": method},
    }
