"""A spreadsheet as Drive shows it: v3 files, and the longer v2 file that an upload answers."""

import base64
import csv
import hashlib
import io
from datetime import datetime
from typing import Any

from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.rendering import Rendering, rendered_rows
from tests.emulators.sheets.store import SPREADSHEET, File

EXPORTS = {
    "application/x-vnd.oasis.opendocument.spreadsheet": "ods",
    "text/tab-separated-values": "tsv",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "application/zip": "zip",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
}


def moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def v3(file: File, email: str | None) -> dict[str, Any]:
    """All that files.get may be asked for."""
    role = file.role_of(email)
    return {
        "kind": "drive#file",
        "id": file.file_id,
        "name": file.title,
        "mimeType": SPREADSHEET,
        **file.extra,
        "starred": False,
        "trashed": file.trashed,
        "explicitlyTrashed": file.trashed,
        "parents": file.parents,
        "spaces": ["drive"],
        "version": str(file.document.revision + 2),
        "webViewLink": f"https://docs.google.com/spreadsheets/d/{file.file_id}/edit?usp=drivesdk",
        "viewedByMe": True,
        "createdTime": moment(file.created),
        "modifiedTime": moment(file.modified),
        "owners": [
            {
                "kind": "drive#user",
                "displayName": file.owner,
                "me": file.owner == email,
                "emailAddress": file.owner,
            }
        ],
        "lastModifyingUser": {
            "kind": "drive#user",
            "displayName": file.owner,
            "me": file.owner == email,
            "emailAddress": file.owner,
        },
        "ownedByMe": file.owner == email,
        "shared": len(file.permissions) > 1,
        "capabilities": {
            "canEdit": role in ("owner", "writer", "organizer", "fileOrganizer"),
            "canCopy": role is not None,
        },
        "permissions": [permission(p) for p in file.permissions],
        "permissionIds": [p["id"] for p in file.permissions],
        "size": "1024",
        "quotaBytesUsed": "1024",
    }


V3_USUAL = ("kind", "id", "name", "mimeType")
PERMISSION_USUAL = ("kind", "id", "type", "role")


def permission(kept: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "drive#permission", **kept}


def v2(file: File, email: str | None) -> dict[str, Any]:
    """What the v2 upload answers."""
    base = "https://www.googleapis.com/drive/v2/files"
    user = {
        "displayName": file.owner,
        "kind": "drive#user",
        "isAuthenticatedUser": file.owner == email,
        "permissionId": file.permissions[0]["id"],
        "emailAddress": file.owner,
        "picture": {"url": "https://lh3.googleusercontent.com/a/default-user=s64"},
    }
    when = moment(file.modified)
    parent = file.parents[0]
    export = f"https://docs.google.com/spreadsheets/export?id={file.file_id}&exportFormat="
    view = f"https://docs.google.com/spreadsheets/d/{file.file_id}"
    stamp = str(int(file.modified.timestamp() * 1000)).encode()
    return {
        "kind": "drive#file",
        "userPermission": {
            "id": "me",
            "type": "user",
            "role": file.role_of(email) or "reader",
            "kind": "drive#permission",
            "selfLink": f"{base}/{file.file_id}/permissions/me",
            "etag": f'"{_digest(file.file_id)}"',
            "pendingOwner": False,
        },
        "selfLink": f"{base}/{file.file_id}",
        "ownerNames": [file.owner],
        "lastModifyingUserName": file.owner,
        "editable": True,
        "writersCanShare": True,
        "mimeType": SPREADSHEET,
        "exportLinks": {kind: export + short for kind, short in EXPORTS.items()},
        "parents": [
            {
                "selfLink": f"{base}/{file.file_id}/parents/{parent}",
                "id": parent,
                "isRoot": True,
                "kind": "drive#parentReference",
                "parentLink": f"{base}/{parent}",
            }
        ],
        "thumbnailLink": f"https://docs.google.com/feeds/vt?gd=true&id={file.file_id}"
        f"&v=1&s={_digest(when)}&sz=s220",
        "appDataContents": False,
        "iconLink": f"https://drive-thirdparty.googleusercontent.com/16/type/{SPREADSHEET}",
        "shared": len(file.permissions) > 1,
        "lastModifyingUser": user,
        "owners": [user],
        "copyable": True,
        "etag": f'"{base64.b64encode(stamp).decode().rstrip("=")}"',
        "alternateLink": f"{view}/edit?usp=drivesdk",
        "embedLink": f"{view}/htmlembed?ouid={file.permissions[0]['id']}",
        "fileSize": "1024",
        "copyRequiresWriterPermission": False,
        "spaces": ["drive"],
        "id": file.file_id,
        "title": file.title,
        "labels": {
            "viewed": True,
            "restricted": False,
            "starred": False,
            "hidden": False,
            "trashed": file.trashed,
        },
        "explicitlyTrashed": file.trashed,
        "createdDate": moment(file.created),
        "modifiedDate": when,
        "modifiedByMeDate": when,
        "lastViewedByMeDate": when,
        "markedViewedByMeDate": "1970-01-01T00:00:00.000Z",
        "quotaBytesUsed": "1024",
        "version": str(file.document.revision + 4),
        "capabilities": {"canEdit": True, "canCopy": True},
    }


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha1(text.encode()).digest()).decode().rstrip("=")


def exported(file: File, kind: str) -> bytes:
    """The first tab as CSV or TSV; of the other formats only their first bytes are true."""
    if kind not in ("text/csv", "text/tab-separated-values"):
        return {"application/pdf": b"%PDF-1.4\n%%EOF\n"}.get(kind, b"PK\x05\x06" + bytes(18))
    file.document.recalculate()
    sheet = file.document.sheets[0]
    rows = rendered_rows(sheet, GridRange(sheet.sheet_id), Rendering())
    width = max(map(len, rows), default=0)
    full = [row + [""] * (width - len(row)) for row in rows]
    if kind == "text/tab-separated-values":
        lines = ["\t".join(str(v).replace("\t", " ").replace("\n", " ") for v in r) for r in full]
        return "\r\n".join(lines).encode()
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(full)
    return out.getvalue().removesuffix("\r\n").encode()
