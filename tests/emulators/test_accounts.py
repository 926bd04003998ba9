"""Logging in: service accounts, users, and what is refused in Google's words."""

import json
import time
from pathlib import Path
from typing import Any

import gspread
import pytest
import requests
from google.auth import crypt, jwt
from google.auth.exceptions import RefreshError

from tests.emulators.driver import client_for
from tests.emulators.sheets.accounts import key_pair
from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator

SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable"
    " timeframe. Check your iat and exp values in the JWT claim."
)
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def assertion(api: Emulator, key: dict[str, Any] | None = None, **claims: Any) -> str:
    key = key or api.service_account()
    now = int(time.time())
    full = {
        "iss": key["client_email"],
        "aud": api.token_uri,
        "iat": now,
        "exp": now + 3600,
        "scope": "https://www.googleapis.com/auth/spreadsheets",
        **claims,
    }
    return jwt.encode(crypt.RSASigner.from_service_account_info(key), full).decode()


def ask(api: Emulator, **form: str) -> requests.Response:
    return requests.post(api.token_uri, data=form, timeout=60)


def test_a_signed_assertion_buys_a_token_for_an_hour(sheets_api: Emulator):
    answer = ask(sheets_api, grant_type=GRANT, assertion=assertion(sheets_api))
    assert answer.status_code == 200
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3599)
    sheets_api.accounts.strict = True
    file = sheets_api.new(rows=[["a"]])
    url = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/A1"
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert requests.get(url, headers=bearer, timeout=60).status_code == 200
    sheets_api.clock.advance(3600)
    late = requests.get(url, headers=bearer, timeout=60)
    assert late.status_code == 401
    assert late.json()["error"]["status"] == "UNAUTHENTICATED"
    assert requests.get(url, timeout=60).status_code == 401


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        ({"iss": "nobody@example.com"}, "Invalid grant: account not found"),
        ({"aud": "https://elsewhere.example/token"}, "Invalid JWT: Failed audience check."),
        (
            {"exp": 1, "iat": 0},
            SHORT_LIVED,
        ),
    ],
)
def test_a_wrong_claim_is_refused(sheets_api: Emulator, claims: dict[str, Any], description: str):
    answer = ask(sheets_api, grant_type=GRANT, assertion=assertion(sheets_api, None, **claims))
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": description}


def test_a_signature_of_another_key_is_refused(sheets_api: Emulator):
    mine = sheets_api.service_account()
    sheets_api.service_account("second@linkrow-test.iam.gserviceaccount.com")
    theirs = sheets_api.service_account("third@linkrow-test.iam.gserviceaccount.com")
    assert key_pair(0) is not key_pair(2)
    forged = assertion(sheets_api, {**mine, "private_key": theirs["private_key"]})
    answer = ask(sheets_api, grant_type=GRANT, assertion=forged)
    assert answer.json()["error_description"] == "Invalid JWT Signature."


def test_a_deleted_key_fails_the_way_google_auth_reports_it(sheets_api: Emulator):
    sheets_api.accounts.strict = True
    file = sheets_api.new(rows=[["a"]])
    client = client_for(sheets_api)
    sheet = client.open_by_key(file.file_id).sheet1
    sheets_api.accounts.revoke(SERVICE_ACCOUNT)
    with pytest.raises(RefreshError, match="invalid_grant"):
        sheet.get_all_values()
    client.http_client.session.close()


@pytest.mark.parametrize("how", ["expire", "clock"])
def test_an_expired_token_is_renewed_without_the_caller_seeing_it(sheets_api: Emulator, how: str):
    sheets_api.accounts.strict = True
    file = sheets_api.new(rows=[["a"]])
    client = client_for(sheets_api)
    sheet = client.open_by_key(file.file_id).sheet1
    if how == "expire":
        sheets_api.accounts.expire(SERVICE_ACCOUNT)
    else:
        sheets_api.clock.advance(3700)
    assert sheet.get_all_values() == [["a"]]
    assert sheets_api.log.counts()["token"] == 2
    client.http_client.session.close()


def test_a_user_logs_in_with_a_refresh_token(sheets_api: Emulator, tmp_path: Path):
    kept = json.loads(sheets_api.user_credentials(tmp_path, "ann@example.com").read_text())
    form = {k: kept[k] for k in ("client_id", "client_secret", "refresh_token")}
    answer = ask(sheets_api, grant_type="refresh_token", **form)
    assert answer.status_code == 200
    assert "https://www.googleapis.com/auth/spreadsheets" in answer.json()["scope"].split()
    wrong = ask(sheets_api, grant_type="refresh_token", **{**form, "client_secret": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    sheets_api.accounts.revoke("ann@example.com")
    late = ask(sheets_api, grant_type="refresh_token", **form)
    assert late.json() == {
        "error": "invalid_grant",
        "error_description": "Token has been expired or revoked.",
    }


def test_a_read_only_scope_may_not_write(sheets_api: Emulator):
    scope = "https://www.googleapis.com/auth/spreadsheets.readonly"
    claims = assertion(sheets_api, None, scope=scope)
    token = ask(sheets_api, grant_type=GRANT, assertion=claims).json()["access_token"]
    file = sheets_api.new(rows=[["a"]])
    url = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/A1"
    bearer = {"Authorization": f"Bearer {token}"}
    assert requests.get(url, headers=bearer, timeout=60).status_code == 200
    refused = requests.put(
        url + "?valueInputOption=RAW", json={"values": [["x"]]}, headers=bearer, timeout=60
    )
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "Request had insufficient authentication scopes."


def test_an_api_key_reads_what_everybody_may_read_and_writes_nothing(sheets_api: Emulator):
    file = sheets_api.new(rows=[["a"]])
    url = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/A1"
    key = {"x-goog-api-key": "k"}
    assert requests.get(url, headers=key, timeout=60).status_code == 403
    file.permissions.append({"id": "anyoneWithLink", "type": "anyone", "role": "writer"})
    assert requests.get(url, headers=key, timeout=60).status_code == 200
    write = requests.put(url + "?valueInputOption=RAW", json={}, headers=key, timeout=60)
    assert write.status_code == 401


def test_a_key_file_opens_a_sheet_by_gspreads_own_ways(sheets_api: Emulator, tmp_path: Path):
    path = sheets_api.credentials(tmp_path)
    kept = json.loads(path.read_text())
    assert kept["type"] == "service_account"
    assert kept["token_uri"] == sheets_api.token_uri
    client = gspread.service_account(path)
    assert client.http_client.auth.service_account_email == SERVICE_ACCOUNT
    client.http_client.session.close()


def test_the_clock_is_the_real_one_until_it_is_moved(sheets_api: Emulator):
    assert abs(sheets_api.clock() - time.time()) < 60
    sheets_api.clock.advance(7200)
    assert sheets_api.clock() - time.time() > 7000
