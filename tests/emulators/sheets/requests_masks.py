"""What an update's `fields` touches, and the two spellings of every colour.

The API keeps each colour twice: `backgroundColor` and `backgroundColorStyle`. Whichever of them a
request sets, both are answered.
"""

from typing import Any

from tests.emulators.sheets import fieldmask
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.fieldmask import Tree
from tests.emulators.sheets.requests_messages import MESSAGES

THEME = {
    "TEXT": "000000",
    "BACKGROUND": "FFFFFF",
    "ACCENT1": "4285F4",
    "ACCENT2": "EA4335",
    "ACCENT3": "FBBC04",
    "ACCENT4": "34A853",
    "ACCENT5": "FF6D01",
    "ACCENT6": "46BDC6",
    "LINK": "1155CC",
}


def parse(kind: str, fields: str, *roots: str) -> Tree:
    """The mask of an update of a message of this kind; both spellings of a colour are in it.

    `roots`: names that a client may have put before its paths (`namedRange.name`).
    """
    if not fields.strip():
        raise ApiError(
            "At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)"
        )
    tree = fieldmask.parse(fields)
    for root in roots:
        if list(tree) == [root] and root not in MESSAGES[kind]:
            tree = tree[root] or {"*": {}}
    return _checked(kind, tree)


def _checked(kind: str, tree: Tree) -> Tree:
    fields = MESSAGES.get(kind)
    if fields is None or "*" in tree:
        return {} if "*" in tree else tree
    whole: Tree = {}
    for sent, below in tree.items():
        name = sent if sent in fields else _camel(sent)
        if name not in fields:
            raise ApiError(f"Invalid field: {sent}")
        below = _checked(fields[name].kind, below) if below else {}  # noqa: PLW2901
        whole[name] = below
        style, plain = f"{name}Style", name.removesuffix("Style")
        if fields[name].kind == "Color" and style in fields:
            whole[style] = {"rgbColor": below} if below else {}
        elif fields[name].kind == "ColorStyle" and plain in fields:
            whole[plain] = {}
    return whole


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def coloured(kind: str, message: Any) -> Any:
    """The message with each of its colours in both spellings; a colour of no kind is no colour."""
    fields = MESSAGES.get(kind)
    if fields is None or not isinstance(message, dict):
        return message
    whole: dict[str, Any] = {}
    for name, value in message.items():
        known = fields[name]
        if known.kind == "ColorStyle" and not value:
            continue
        if known.mapped:
            whole[name] = {key: coloured(known.kind, part) for key, part in value.items()}
        elif known.repeated:
            whole[name] = [coloured(known.kind, part) for part in value]
        else:
            whole[name] = coloured(known.kind, value)
    for name in list(whole):
        kept = fields[name].kind
        style, plain = f"{name}Style", name.removesuffix("Style")
        if kept == "Color" and style in fields and style not in message:
            whole[style] = {"rgbColor": whole[name]}
        elif kept == "ColorStyle" and plain != name and plain in fields:
            whole[plain] = rgb(whole[name])
    for name, known in fields.items():
        gone = known.kind == "ColorStyle" and name in message and name not in whole
        if gone:
            whole.pop(name.removesuffix("Style"), None)
    return whole


def rgb(style: dict[str, Any]) -> dict[str, Any]:
    """The colour that a ColorStyle shows."""
    if "themeColor" in style:
        digits = THEME[style["themeColor"]]
        return colour(*(int(digits[i : i + 2], 16) for i in (0, 2, 4)))
    shown: dict[str, Any] = style.get("rgbColor", {})
    return shown


def colour(red: int, green: int, blue: int) -> dict[str, Any]:
    from tests.emulators.sheets.requests_parse import single_precision, whole

    parts = {"red": red, "green": green, "blue": blue}
    return {name: whole(single_precision(part / 255)) for name, part in parts.items() if part}
