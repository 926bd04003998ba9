#!/usr/bin/env python3
"""Have a Linkrow source refreshed, with a signed request; needs Python 3.9 or newer, nothing else.

    linkrow_refresh.py SOURCE --key KEY [--scope all|stale|failed] [--max-age SECONDS]
                       [--expires-in SECONDS] [--wait] [--timeout SECONDS]

The same KEY is the same refresh, however often it is asked for, unless that one failed. From the
environment: LINKROW_RELAY_URL; LINKROW_API_KEY and LINKROW_API_SECRET, or LINKROW_API_KEY_FILE, a
private file that holds {"key_id": "lrk_...", "secret": "lrs_..."}.

Exit codes, as those of `linkrow refresh`:
  0  asked for; with --wait: every row has its ending, in its row
  2  an option or a setting cannot be used
  3  canceled, or a row could not be written, expired or is not there
  4  the relay is not there, or refused
  5  the source could not be read, or no agent took it in time
  6  it goes on, but was waited for no longer (--timeout)

Where Linkrow is installed, use `linkrow refresh`. Copy this file where it is not.
"""

# ruff: noqa: T201 - it talks to whoever runs it

import argparse
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

OK, BAD_INPUT, UNFINISHED, REFUSED, FAILED, STILL_RUNNING = 0, 2, 3, 4, 5, 6

OVER = ("done", "canceled", "failed")
UNFINISHED_ROWS = ("canceled", "superseded", "job_expired")
UNWRITTEN_ROWS = ("pending", "conflict", "missing", "duplicate", "failed")
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 6
LONGEST_PAUSE = 60.0
MOST_KEYS = 20


class RefusedError(Exception):
    """The relay said no, or nothing at all. *may_pass*: the same may work later."""

    def __init__(self, code, detail, *, may_pass=False):
        super().__init__(f"{detail} [{code}]")
        self.code = code
        self.may_pass = may_pass


class Relay:
    """A relay and the key that requests to it are signed with."""

    def __init__(self, url, key_id, secret, *, attempts=ATTEMPTS, sleep=time.sleep):
        parts = urllib.parse.urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{url!r} is no relay's address")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path
        self._key_id = key_id
        self._secret = secret
        self._attempts = attempts
        self._sleep = sleep

    def refresh(self, source_id, body, *, key):
        """Ask for a refresh. The answer: {"refresh": …, "disposition": …}."""
        return self._ask("POST", f"/v1/sources/{source_id}/refresh", body, key)

    def progress(self, source_id, refresh_id, *, wait=0):
        """How far it is; with *wait* (seconds, up to 25) not before it is over, or they are."""
        query = f"?wait={wait}" if wait else ""
        return self._ask("GET", f"/v1/sources/{source_id}/refreshes/{refresh_id}{query}", wait=wait)

    def _ask(self, method, path, body=None, key="", *, wait=0):
        """One answer. Each sending is signed anew, under the same key: it is done once."""
        content = b"" if body is None else json.dumps(body).encode()
        for attempt in range(1, self._attempts + 1):
            try:
                return self._send(method, self._prefix + path, content, key, wait)
            except RefusedError as error:
                if not error.may_pass or attempt == self._attempts:
                    raise
                self._sleep(min(2.0**attempt, LONGEST_PAUSE))
        raise AssertionError("not reached")

    def _send(self, method, target, content, key, wait):
        headers = {**self._signed(method, target, content, key), "Accept": "application/json"}
        if content:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(  # noqa: S310 - http or https, looked at above
            self._origin + target, content or None, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=wait + 30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            may_pass = error.code in TRY_AGAIN
            try:
                problem = json.loads(error.read())
                code, detail = problem["code"], problem["detail"]
            except (ValueError, KeyError, TypeError, OSError):
                code, detail = "not_a_relay", f"the answer is no relay's (status {error.code})"
            # Somebody on the way repeated our bytes: signed anew it is another request.
            may_pass = may_pass or code == "nonce_replayed"
            raise RefusedError(code, detail, may_pass=may_pass) from None
        except (OSError, ValueError) as error:
            raise RefusedError("relay_unreachable", str(error), may_pass=True) from None

    def _signed(self, method, target, content, key):
        timestamp, nonce = str(int(time.time())), secrets.token_urlsafe(16)
        digest = hashlib.sha256(content).hexdigest()
        head = f"LINKROW-HMAC-SHA256\n{method}\n{target}\n{timestamp}\n{nonce}\n{key}\n"
        signed = (head + digest).encode()
        mac = hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        headers = {
            "Linkrow-Key": self._key_id,
            "Linkrow-Timestamp": timestamp,
            "Linkrow-Nonce": nonce,
            "Linkrow-Signature": "v1=" + mac,
        }
        if key:
            headers["Idempotency-Key"] = key
        return headers


def relay_from(environ):
    """The relay of the environment. Raises ValueError that says what is missing."""
    url = environ.get("LINKROW_RELAY_URL")
    if not url:
        raise ValueError("LINKROW_RELAY_URL is not set")
    key_id, secret = environ.get("LINKROW_API_KEY"), environ.get("LINKROW_API_SECRET")
    named = environ.get("LINKROW_API_KEY_FILE")
    if not (key_id and secret) and named:
        try:
            with open(named, encoding="utf-8") as file:  # noqa: PTH123 - one file, no pathlib
                kept = json.load(file)
            key_id, secret = kept["key_id"], kept["secret"]
        except OSError as error:
            raise ValueError(f"{named}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            # Not the cause: it may quote the file.
            raise ValueError(f"{named}: expected JSON with key_id and secret") from None
    if not (key_id and secret):
        raise ValueError("set LINKROW_API_KEY and LINKROW_API_SECRET, or LINKROW_API_KEY_FILE")
    return Relay(url, key_id, secret)


def ask(relay, source_id, body, *, key):
    """The refresh of this *key*; where that one failed, the one of key.2, key.3 and so on."""
    answer = relay.refresh(source_id, body, key=key)
    for number in range(2, MOST_KEYS + 1):
        if answer["disposition"] != "replayed" or answer["refresh"]["state"] != "failed":
            break
        answer = relay.refresh(source_id, body, key=f"{key}.{number}")
    return answer["refresh"]


def exit_of(refresh):
    """What its state means for a scheduler."""
    state = refresh["state"]
    if state not in OVER:
        return STILL_RUNNING
    if state == "failed":
        return FAILED
    is_whole = (
        state == "done"
        and refresh["finished"] >= refresh["submitted"]
        and not refresh["not_submitted"].get("row_missing")
        and not any(refresh["by_conclusion"].get(word) for word in UNFINISHED_ROWS)
        and not any(refresh["by_writeback"].get(word) for word in UNWRITTEN_ROWS)
    )
    return OK if is_whole else UNFINISHED


def told(refresh):
    """How it stands, in one line."""
    found = {**refresh["not_submitted"], **refresh["by_conclusion"]}
    counts = ", ".join(f"{word} {count}" for word, count in found.items())
    error = refresh.get("error")
    why = f": {error['detail']} [{error['code']}]" if error else ""
    finished = f"{refresh['finished']} of {refresh['submitted']} rows"
    return f"refresh {refresh['refresh_id']}: {refresh['state']}{why}; {finished}; {counts or '-'}"


def main(arguments=None, environ=os.environ):
    """Ask, wait if told so, and return the exit code."""
    parser = argparse.ArgumentParser(
        description="Have a Linkrow source refreshed.",
        epilog="Exit codes: see the head of the file.",
    )
    parser.add_argument("source", metavar="SOURCE", help="its id, src_...")
    parser.add_argument("--key", required=True, help="the same KEY is the same refresh")
    parser.add_argument("--scope", choices=("all", "stale", "failed"), default="all")
    parser.add_argument("--max-age", type=int, metavar="SECONDS", help="what counts as stale")
    parser.add_argument(
        "--expires-in", type=int, metavar="SECONDS", help="give up without an agent"
    )
    parser.add_argument("--wait", action="store_true", help="until it is over")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait so long at most")
    given = parser.parse_args(arguments)
    body = {"scope": given.scope}
    if given.max_age is not None:
        body["max_age_seconds"] = given.max_age
    if given.expires_in is not None:
        body["expires_in"] = given.expires_in
    until = None if given.timeout is None else time.monotonic() + given.timeout
    try:
        relay = relay_from(environ)
        refresh = ask(relay, given.source, body, key=given.key)
        if not given.wait and refresh["state"] not in OVER:
            print(told(refresh))
            return OK
        while refresh["state"] not in OVER and (until is None or time.monotonic() < until):
            refresh = relay.progress(given.source, refresh["refresh_id"], wait=20)
    except ValueError as error:
        print(f"linkrow_refresh: {error}", file=sys.stderr)
        return BAD_INPUT
    except RefusedError as error:
        print(f"linkrow_refresh: {error}", file=sys.stderr)
        return REFUSED
    print(told(refresh))
    return exit_of(refresh)


if __name__ == "__main__":
    sys.exit(main())
