"""Service accounts and users: their keys, their tokens, and who a request speaks for."""

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.emulators.sheets.clock import Clock

LIFETIME = 3599
SHEETS_SCOPES = {
    "https://www.googleapis.com/auth/spreadsheets",
    "https://www.googleapis.com/auth/spreadsheets.readonly",
    "https://www.googleapis.com/auth/drive",
    "https://www.googleapis.com/auth/drive.readonly",
    "https://www.googleapis.com/auth/drive.file",
}
WRITING_SCOPES = {s for s in SHEETS_SCOPES if not s.endswith(".readonly")}


@cache
def key_pair(number: int) -> rsa.RSAPrivateKey:
    """Making a key takes a while: accounts of all emulators of a process share a few."""
    return rsa.generate_private_key(65537, 2048)


class TokenRefused(Exception):
    """The token endpoint says no, in OAuth's words."""

    def __init__(self, error: str, description: str, status: int = 400):
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass
class Account:
    email: str
    key: rsa.RSAPrivateKey | None = None  # of a service account
    key_id: str = ""
    refresh_token: str = ""  # of a user
    client_id: str = ""
    client_secret: str = ""
    revoked: bool = False


@dataclass
class Token:
    account: Account
    expires: float
    scopes: frozenset[str] = field(default_factory=frozenset)


class Accounts:
    """Who there is. With `strict`, a bearer token that we did not give out is refused; without,
    it (and no token at all) speaks for the owner of everything, which suits curl and replays."""

    def __init__(self, clock: Clock):
        self.clock = clock
        self.strict = False
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def service_account(self, email: str, token_uri: str) -> dict[str, Any]:
        """The key file of a service account, as its owner downloads it from the console."""
        with self._lock:
            account = self.accounts.get(email)
            if account is None:
                account = Account(email, key_pair(len(self.accounts) % 4), secrets.token_hex(20))
                self.accounts[email] = account
        assert account.key is not None
        pem = account.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": email.partition("@")[2].partition(".")[0],
            "private_key_id": account.key_id,
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "universe_domain": "googleapis.com",
        }

    def user(self, email: str) -> dict[str, Any]:
        """An authorized_user file: a refresh token that somebody once consented to."""
        with self._lock:
            account = self.accounts.get(email)
            if account is None:
                account = Account(
                    email,
                    refresh_token="1//" + secrets.token_urlsafe(32),
                    client_id=f"{secrets.randbelow(10**12)}-app.apps.googleusercontent.com",
                    client_secret="GOCSPX-" + secrets.token_urlsafe(16),
                )
                self.accounts[email] = account
        return {
            "type": "authorized_user",
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "refresh_token": account.refresh_token,
        }

    def revoke(self, email: str) -> None:
        """The key was deleted, or the user took consent back: every token dies at once."""
        self.accounts[email].revoked = True
        self.expire(email)

    def expire(self, email: str) -> None:
        """Access tokens given out so far are no longer good; new ones can be had."""
        for token in self.tokens.values():
            if token.account.email == email:
                token.expires = 0

    # The token endpoint

    def grant(self, form: dict[str, str], audience: str) -> dict[str, Any]:
        kind = form.get("grant_type", "")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            account, scopes = self._by_assertion(form.get("assertion", ""), audience)
        elif kind == "refresh_token":
            account, scopes = self._by_refresh_token(form)
        else:
            raise TokenRefused("unsupported_grant_type", f"Invalid grant_type: {kind}")
        text = self._issue(account, scopes)
        answer = {"access_token": text, "expires_in": LIFETIME, "token_type": "Bearer"}
        if account.refresh_token:
            answer["scope"] = " ".join(sorted(scopes))
        return answer

    def token_for(self, email: str) -> str:
        """An access token without the ceremony."""
        return self._issue(self.accounts[email], set(SHEETS_SCOPES))

    def _issue(self, account: Account, scopes: set[str]) -> str:
        text = "ya29." + secrets.token_urlsafe(48)
        with self._lock:
            self.tokens[text] = Token(account, self.clock() + LIFETIME, frozenset(scopes))
        return text

    def _by_assertion(self, assertion: str, audience: str) -> tuple[Account, set[str]]:
        parts = assertion.split(".")
        try:
            header, claims = (json.loads(_unpadded(part)) for part in parts[:2])
            signature = _unpadded(parts[2])
        except (ValueError, IndexError):
            raise TokenRefused("invalid_grant", "Invalid JWT: Failed to parse.") from None
        account = self.accounts.get(claims.get("iss", ""))
        if account is None or account.key is None or account.revoked:
            raise TokenRefused("invalid_grant", "Invalid grant: account not found")
        signed = f"{parts[0]}.{parts[1]}".encode()
        try:
            account.key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise TokenRefused("invalid_grant", "Invalid JWT Signature.") from None
        if header.get("alg") != "RS256" or header.get("kid") not in (None, account.key_id):
            raise TokenRefused("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in (audience, "https://oauth2.googleapis.com/token"):
            raise TokenRefused("invalid_grant", "Invalid JWT: Failed audience check.")
        # The client made it by its own clock, which a test that moves ours does not move.
        now, issued, expires = time.time(), claims.get("iat", 0), claims.get("exp", 0)
        if not (issued - 300 <= now < expires and expires - issued <= 3600 + 60):
            raise TokenRefused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable"
                " timeframe. Check your iat and exp values in the JWT claim.",
            )
        scopes = set(str(claims.get("scope", "")).split())
        if not scopes:
            raise TokenRefused(
                "invalid_scope", "Invalid OAuth scope or ID token audience provided."
            )
        return account, scopes

    def _by_refresh_token(self, form: dict[str, str]) -> tuple[Account, set[str]]:
        text = form.get("refresh_token", "")
        for account in self.accounts.values():
            if account.refresh_token and account.refresh_token == text:
                if account.revoked:
                    break
                if form.get("client_id") != account.client_id:
                    raise TokenRefused("invalid_client", "The OAuth client was not found.", 401)
                if form.get("client_secret") != account.client_secret:
                    raise TokenRefused(
                        "invalid_client", "The provided client secret is invalid.", 401
                    )
                return account, set(form.get("scope", "").split()) or set(SHEETS_SCOPES)
        raise TokenRefused("invalid_grant", "Token has been expired or revoked.")


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
