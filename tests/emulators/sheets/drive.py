"""The Drive routes that gspread uses: v3 files, permissions, comments, export; v2 upload."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.emulators.sheets import fieldmask, importing
from tests.emulators.sheets.accounts import Accounts
from tests.emulators.sheets.answer_fields import check_drive
from tests.emulators.sheets.drive_files import (
    EXPORTS,
    PERMISSION_USUAL,
    V3_USUAL,
    exported,
    moment,
    permission,
    v2,
    v3,
)
from tests.emulators.sheets.drive_query import matcher
from tests.emulators.sheets.errors import ApiError, DriveError, file_not_found
from tests.emulators.sheets.faults import Faults, refusal
from tests.emulators.sheets.identity import Identity, identify
from tests.emulators.sheets.payload import body_json
from tests.emulators.sheets.routing import allowed
from tests.emulators.sheets.server import Answer, Request
from tests.emulators.sheets.store import OWNER, SPREADSHEET, File, Store, permission_id, person

_ID = r"/drive/v3/files/([^/]+)"


class DriveApi:
    def __init__(self, store: Store, accounts: Accounts, faults: Faults):
        self.store = store
        self.accounts = accounts
        self.faults = faults
        self.routes: list[tuple[str, str, str, Callable[..., Any]]] = [
            ("drive.files.list", "GET", r"/drive/v3/files", self.list),
            ("drive.files.create", "POST", r"/drive/v3/files", self.create),
            ("drive.files.get", "GET", _ID, self.get),
            ("drive.files.update", "PATCH", _ID, self.update),
            ("drive.files.delete", "DELETE", _ID, self.delete),
            ("drive.files.copy", "POST", _ID + "/copy", self.copy),
            ("drive.files.export", "GET", _ID + "/export", self.export),
            ("drive.comments.list", "GET", _ID + "/comments", self.comments),
            ("drive.comments.create", "POST", _ID + "/comments", self.comment),
            ("drive.permissions.list", "GET", _ID + "/permissions", self.permissions),
            ("drive.permissions.create", "POST", _ID + "/permissions", self.share),
            ("drive.permissions.get", "GET", _ID + "/permissions/([^/]+)", self.permission),
            ("drive.permissions.update", "PATCH", _ID + "/permissions/([^/]+)", self.reshare),
            ("drive.permissions.delete", "DELETE", _ID + "/permissions/([^/]+)", self.unshare),
            ("drive.files.upload", "PUT", r"/upload/drive/v2/files/([^/]+)", self.upload),
            ("drive.about.get", "GET", r"/drive/v3/about", self.about),
        ]

    def __call__(self, request: Request) -> Answer | None:
        for name, verb, pattern, handler in self.routes:
            match = re.fullmatch(pattern, request.path)
            if match and verb == request.method:
                args = [unquote(group) for group in match.groups()]
                request.name, request.file_id = name, args[0] if args else ""
                return self._answer(request, handler, args)
        return None

    def _answer(self, request: Request, handler: Callable[..., Any], args: list[str]) -> Answer:
        hits = self.faults.hitting(request.name, request.file_id)
        for fault in hits:
            if fault.kind == "timeout_before":
                return self.faults.silence(fault.seconds)
            if fault.kind in ("429", "500", "502", "503"):
                return refusal(fault.kind, "read" if request.method == "GET" else "write")
            self.faults.wait(fault.seconds if fault.kind == "slow" else 0)
        try:
            identity = identify(
                self.accounts, request, service="drive.googleapis.com", method=request.name
            )
            answer = handler(request, identity, *args)
        except DriveError as refused:
            return Answer.refused(refused)
        except ApiError as refused:
            return Answer.refused(_as_drive(refused))
        if any(fault.kind == "timeout_after" for fault in hits):
            return self.faults.silence(0)
        if isinstance(answer, Answer):
            return answer
        return Answer.json(answer)

    def _file(self, file_id: str, identity: Identity, needed: str = "reader") -> File:
        file = self.store.find(file_id)
        if file is None or not allowed(file, identity, "reader"):
            raise file_not_found(file_id)
        if not allowed(file, identity, needed):
            raise DriveError(
                403,
                "insufficientFilePermissions",
                "The user does not have sufficient permissions for this file.",
            )
        return file

    # files

    def list(self, request: Request, identity: Identity) -> Any:
        query = dict(request.query)
        wanted = matcher(query["q"]) if query.get("q", "").strip() else lambda _: True
        files = [
            f for f in self.store.newest_first() if allowed(f, identity, "reader") and wanted(f)
        ]
        size = int(query.get("pageSize") or 100)
        if not 1 <= size <= 1000:
            raise DriveError(
                400,
                "invalidParameter",
                f"Invalid value '{size}'. Values must be within the range: [1, 1000]",
                location="pageSize",
            )
        start = int(query.get("pageToken") or 0)
        answer: dict[str, Any] = {"kind": "drive#fileList", "incompleteSearch": False}
        if start + size < len(files):
            answer["nextPageToken"] = str(start + size)
        answer["files"] = [v3(f, _email(f, identity)) for f in files[start : start + size]]
        usual = f"kind,incompleteSearch,nextPageToken,files({','.join(V3_USUAL)})"
        return _masked(answer, query, usual)

    def create(self, request: Request, identity: Identity) -> Any:
        body = body_json(request.body)
        if body.get("mimeType") not in (None, SPREADSHEET):
            raise DriveError(400, "badRequest", "The emulator keeps spreadsheets only.")
        file = self.store.create(body.get("name") or "Untitled", identity.email or OWNER)
        if body.get("parents"):
            file.parents = [str(p) for p in body["parents"]]
        if body.get("description"):
            file.extra["description"] = body["description"]
        return self._shown(file, request, identity)

    def get(self, request: Request, identity: Identity, file_id: str) -> Any:
        return self._shown(self._file(file_id, identity), request, identity)

    def update(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity, "writer")
        body, query = body_json(request.body), dict(request.query)
        with file.lock:
            if body.get("name"):
                file.document.properties["title"] = body["name"]
            if "trashed" in body:
                file.trashed = bool(body["trashed"])
            if "description" in body:
                file.extra["description"] = body["description"]
            removed = set(query.get("removeParents", "").split(","))
            added = [p for p in query.get("addParents", "").split(",") if p]
            file.parents = [p for p in file.parents if p not in removed] + added
            file.modified = self.store.clock.now()
        return self._shown(file, request, identity)

    def delete(self, request: Request, identity: Identity, file_id: str) -> Any:
        self._file(file_id, identity, "owner")
        self.store.delete(file_id)
        return Answer(204)

    def copy(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity)
        body = body_json(request.body)
        with file.lock:
            title = body.get("name") or f"Copy of {file.title}"
            made = self.store.copy(file, title, identity.email or OWNER)
        made.parents = [str(p) for p in body.get("parents") or file.parents]
        return self._shown(made, request, identity)

    def export(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity)
        kind = dict(request.query).get("mimeType", "")
        if kind not in EXPORTS:
            message = "The requested conversion is not supported."
            raise DriveError(400, "badRequest", message, location="convertTo")
        with file.lock:
            return Answer(200, exported(file, kind), kind)

    def upload(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity, "writer")
        with file.lock:
            importing.import_csv(file.document, request.body)
            file.modified = self.store.clock.now()
            return v2(file, _email(file, identity))

    def about(self, request: Request, identity: Identity) -> Any:
        email = identity.email or OWNER
        user = {"kind": "drive#user", "displayName": email, "me": True, "emailAddress": email}
        return _masked({"kind": "drive#about", "user": user}, dict(request.query), "kind,user")

    def _shown(self, file: File, request: Request, identity: Identity) -> Any:
        return _masked(v3(file, _email(file, identity)), dict(request.query), ",".join(V3_USUAL))

    # comments

    def comments(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity)
        query = dict(request.query)
        if not query.get("fields"):
            raise DriveError(
                400,
                "required",
                "The 'fields' parameter is required for this method.",
                location="fields",
            )
        return _masked({"kind": "drive#commentList", "comments": file.comments}, query, "*")

    def comment(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity, "commenter")
        body = body_json(request.body)
        made = {
            "kind": "drive#comment",
            "id": self.store.letters(11),
            "createdTime": moment(self.store.clock.now()),
            "content": body.get("content", ""),
            **({"anchor": body["anchor"]} if body.get("anchor") else {}),
        }
        file.comments.append(made)
        return _masked(made, dict(request.query), "*")

    # permissions

    def permissions(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity)
        answer = {
            "kind": "drive#permissionList",
            "permissions": [permission(p) for p in file.permissions],
        }
        usual = f"kind,nextPageToken,permissions({','.join(PERMISSION_USUAL)})"
        return _masked(answer, dict(request.query), usual)

    def share(self, request: Request, identity: Identity, file_id: str) -> Any:
        file = self._file(file_id, identity, "writer")
        body = body_json(request.body)
        kind, role = body.get("type"), body.get("role")
        if kind not in ("user", "group", "domain", "anyone"):
            raise DriveError(400, "required", "The permission type field is required.")
        if role not in ("owner", "organizer", "fileOrganizer", "writer", "commenter", "reader"):
            raise DriveError(400, "required", "The permission role field is required.")
        made: dict[str, Any]
        if kind in ("user", "group"):
            email = body.get("emailAddress")
            if not email or "@" not in email:
                raise DriveError(
                    400,
                    "invalid",
                    "The specified emailAddress is invalid or not applicable for the given"
                    " permission type.",
                    location="permission.emailAddress",
                )
            made = {"id": permission_id(email), **person(email)}
            if role == "owner" and email != file.owner:
                self._transfer(file, email, dict(request.query))
        elif kind == "domain":
            name = body.get("domain", "")
            made = {
                "id": permission_id(name) + "k",
                "domain": name,
                "displayName": name,
                "allowFileDiscovery": False,
            }
        else:
            made = {"id": "anyoneWithLink", "allowFileDiscovery": False}
        made = {"id": made.pop("id"), "type": kind, "role": role, **made}
        with file.lock:
            file.permissions = [p for p in file.permissions if p["id"] != made["id"]] + [made]
        return _masked(permission(made), dict(request.query), ",".join(PERMISSION_USUAL))

    def _transfer(self, file: File, email: str, query: dict[str, str]) -> None:
        if query.get("transferOwnership", "").lower() != "true":
            raise DriveError(
                403,
                "forbidden",
                "The transferOwnership parameter must be enabled when the permission role is"
                " 'owner'.",
                location="transferOwnership",
            )
        file.share(file.owner, "writer")
        file.owner = email

    def permission(
        self, request: Request, identity: Identity, file_id: str, permission_id: str
    ) -> Any:
        kept = self._permission(self._file(file_id, identity), permission_id)
        return _masked(permission(kept), dict(request.query), ",".join(PERMISSION_USUAL))

    def reshare(
        self, request: Request, identity: Identity, file_id: str, permission_id: str
    ) -> Any:
        file = self._file(file_id, identity, "writer")
        kept = self._permission(file, permission_id)
        body, query = body_json(request.body), dict(request.query)
        with file.lock:
            kept["role"] = body.get("role", kept["role"])
            if kept["role"] == "owner" and query.get("transferOwnership", "").lower() == "true":
                for other in file.permissions:
                    if other is not kept and other["role"] == "owner":
                        other["role"] = "writer"
                file.owner = kept.get("emailAddress", file.owner)
            for name in ("pendingOwner", "expirationTime"):
                if name in body:
                    kept[name] = body[name]
        return _masked(permission(kept), query, ",".join(PERMISSION_USUAL))

    def unshare(
        self, request: Request, identity: Identity, file_id: str, permission_id: str
    ) -> Any:
        file = self._file(file_id, identity)
        kept = self._permission(file, permission_id)
        with file.lock:
            file.permissions.remove(kept)
        return Answer(204)

    def _permission(self, file: File, permission_id: str) -> dict[str, Any]:
        for kept in file.permissions:
            if kept["id"] == permission_id:
                return kept
        raise DriveError(
            404, "notFound", f"Permission not found: {permission_id}.", location="permissionId"
        )


def _email(file: File, identity: Identity) -> str | None:
    return file.owner if identity.everything else identity.email


def _masked(answer: dict[str, Any], query: dict[str, str], usual: str) -> Any:
    tree = fieldmask.parse(query.get("fields") or usual)
    known = {*answer, "nextPageToken", "incompleteSearch", "description", "anchor"}
    check_drive(tree, known)
    return fieldmask.select(tree, answer)


def _as_drive(refused: ApiError) -> DriveError:
    if refused.code == 401:
        return DriveError(401, "authError", "Invalid Credentials", location="Authorization")
    if refused.code == 403:
        return DriveError(403, "insufficientPermissions", "Insufficient Permission")
    return DriveError(refused.code, "badRequest", refused.message)
