"""``linkrow sign``: what it prints is what the relay accepts."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from wire.signing import SignedHeaders, verify_request

SECRET = "lrs_very_secret"
URL = "https://relay.example.com"


@pytest.fixture
def sign(monkeypatch, tmp_path):
    monkeypatch.setenv("LINKROW_HOME", str(tmp_path))
    monkeypatch.setenv("LINKROW_API_KEY", "lrk_test0000")
    monkeypatch.setenv("LINKROW_API_SECRET", SECRET)
    monkeypatch.delenv("LINKROW_API_KEY_FILE", raising=False)

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(main, ["sign", *arguments], input=stdin)

    return run


def headers_of(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return dict(line.split(": ", 1) for line in result.stdout.splitlines())


def assert_holds(headers: dict[str, str], method: str, target: str, body: bytes) -> None:
    verify_request(
        SignedHeaders.from_headers(headers),
        method=method,
        target=target,
        body=body,
        secrets_=[SECRET],
        now=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"{URL}/v1/jobs", "/v1/jobs"),
        (f"{URL}/v1/jobs?wait=25&x=%20", "/v1/jobs?wait=25&x=%20"),
        (f"{URL}", "/"),
        (f"{URL}/v1/jobs#part", "/v1/jobs"),
        ("http://127.0.0.1:8790/prefix/v1/jobs", "/prefix/v1/jobs"),
    ],
)
def test_the_target_is_what_a_client_will_send(sign, url, target):
    headers = headers_of(sign("get", url))

    assert_holds(headers, "GET", target, b"")
    assert "Content-Type" not in headers


@pytest.mark.parametrize("way", ["text", "file", "standard input"])
def test_a_body_and_a_key_are_signed_with_the_rest(sign, tmp_path, way):
    body = '{"scope":"all","ü":1}\n'.encode()
    path = tmp_path / "body.json"
    path.write_bytes(body)
    given = {"text": body.decode(), "file": f"@{path}", "standard input": "@-"}[way]

    headers = headers_of(sign("POST", f"{URL}/v1/x", given, "--key", "nightly-1", stdin=body))

    assert_holds(headers, "POST", "/v1/x", body)
    assert headers["Idempotency-Key"] == "nightly-1"
    assert headers["Content-Type"] == "application/json"


def test_json_holds_the_same(sign):
    result = sign("POST", f"{URL}/v1/x", "{}", "--json")

    assert_holds(json.loads(result.stdout), "POST", "/v1/x", b"{}")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["GET", "/v1/jobs"], "whole address"),
        (["GET", "ftp://a/b"], "whole address"),
        (["GET", f"{URL}/ü"], "percent-encode"),
        (["GET", f"{URL}/a b"], "percent-encode"),
        (["GET", f"{URL}/a/../b"], "no . or .."),
        (["GET", "http://[/"], "Invalid IPv6"),
        (["BREW", URL], "BREW"),
        (["POST", URL, "@/nowhere/at/all"], "No such file"),
        (["POST", URL, "{}", "--key", "a b"], "no space"),
        (["POST", URL, "{}", "--key", "a,b"], "no space"),
    ],
)
def test_what_cannot_be_signed_is_said_in_a_sentence(sign, arguments, word):
    result = sign(*arguments)

    assert result.exit_code == 2
    assert word in result.output
    assert "Traceback" not in result.output


def test_the_secret_is_never_printed(sign, monkeypatch):
    assert SECRET not in sign("GET", URL).output
    monkeypatch.delenv("LINKROW_API_KEY")

    result = sign("GET", URL)

    assert result.exit_code == 2
    assert "LINKROW_API_KEY is not set [credentials_unusable]" in result.output
    assert SECRET not in result.output
