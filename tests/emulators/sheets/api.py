"""One v4 call from the request to the answer: login, quota, faults, the handler, the mask."""

from typing import Any

from tests.emulators.sheets import answer_fields, fieldmask, people
from tests.emulators.sheets.accounts import Accounts
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.faults import Fault, Faults, refusal
from tests.emulators.sheets.identity import identify, scopes_refused
from tests.emulators.sheets.quota import Quota
from tests.emulators.sheets.routing import Call, Route, find
from tests.emulators.sheets.server import MAX_BODY, Answer, Request
from tests.emulators.sheets.store import Store

SERVICE = "sheets.googleapis.com"


class SheetsApi:
    def __init__(self, store: Store, accounts: Accounts, quota: Quota, faults: Faults):
        self.store = store
        self.accounts = accounts
        self.quota = quota
        self.faults = faults

    def __call__(self, request: Request) -> Answer:
        found = find(request)
        if found is None:
            return no_such_route(request)
        route, file_id, args = found
        request.name, request.file_id = route.name, file_id
        hits = self.faults.hitting(route.name, file_id)
        for fault in hits:
            if fault.kind == "timeout_before":
                return self.faults.silence(fault.seconds)
            if fault.kind in ("429", "500", "502", "503"):
                return refusal(fault.kind, route.counts)
            if fault.kind == "slow":
                self.faults.wait(fault.seconds)
        answer = self._answer(request, route, file_id, args, hits)
        for fault in hits:
            if fault.kind == "timeout_after":
                return self.faults.silence(fault.seconds)
        return answer

    def _answer(
        self, request: Request, route: Route, file_id: str, args: tuple[str, ...], hits: list[Fault]
    ) -> Answer:
        try:
            method = f"google.apps.sheets.v4.{route.name}"
            identity = identify(self.accounts, request, service=SERVICE, method=method)
            if route.writes and not identity.may_write and identity.email:
                raise scopes_refused(SERVICE, method)
            self.quota.take(route.counts, identity.email or "")
            if len(request.body) > MAX_BODY:
                raise ApiError(f"Request payload size exceeds the limit: {MAX_BODY} bytes.")
            file = self.store.find(file_id)
            call = Call(self.store, request, route, args, identity, file)
            if file is None:
                return Answer.json(masked(call))
            with file.lock:
                self._edits(call, hits, "edit_before")
                before = file.document.revision
                answer = Answer.json(masked(call))
                if file.document.revision != before:
                    file.modified = self.store.clock.now()
                self._edits(call, hits, "edit_after")
            return answer
        except ApiError as refused:
            return Answer.refused(refused)

    def _edits(self, call: Call, hits: list[Fault], when: str) -> None:
        assert call.file is not None
        for fault in hits:
            if fault.kind == when:
                people.edit(call.file.document, fault.edits)


def masked(call: Call) -> Any:
    """The handler's answer under the `fields` of the query (spreadsheets.get masks by itself)."""
    mask = dict(call.request.query).get("fields")
    if not mask:
        return call.route.handler(call)
    tree = fieldmask.parse(mask)
    answer_fields.check(call.route.name, tree)
    answer = call.route.handler(call)
    return answer if call.route.name == "spreadsheets.get" else fieldmask.select(tree, answer)


def no_such_route(request: Request) -> Answer:
    """Google's own page: not JSON."""
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 404 (Not Found)!!1</title>\n"
        f"  <p><b>404.</b> <ins>That\u2019s an error.</ins>\n  <p>The requested URL"
        f" <code>{request.path}</code> was not found on this server."
        "  <ins>That\u2019s all we know.</ins>\n"
    )
    return Answer(404, page.encode(), "text/html; charset=UTF-8")
