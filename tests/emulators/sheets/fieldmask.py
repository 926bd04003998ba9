"""Field masks: `a.b`, `a/b`, `a(b,c)`, `*`; what an answer shows and what an update touches."""

from typing import Any

from tests.emulators.sheets.errors import ApiError

Tree = dict[str, Any]
"""Names to subtrees; an empty subtree is everything below."""


def parse(mask: str) -> Tree:
    tree: Tree = {}
    end = _group(mask, 0, tree)
    if end != len(mask):
        raise invalid(mask)
    return tree


def invalid(mask: str) -> ApiError:
    sentence = f"Request contains an invalid argument. Invalid field mask: {mask}"
    return ApiError(sentence)


def _group(mask: str, at: int, tree: Tree) -> int:
    """Read `path,path,...` into tree up to a closing bracket or the end."""
    while True:
        at = _path(mask, at, tree)
        if at >= len(mask) or mask[at] == ")":
            return at
        if mask[at] != ",":
            raise invalid(mask)
        at += 1


def _path(mask: str, at: int, tree: Tree) -> int:
    node = tree
    fresh = True
    while True:
        start = at
        while at < len(mask) and mask[at] not in "./,()":
            at += 1
        name = mask[start:at].strip()
        if not name:
            raise invalid(mask)
        known = node.get(name)
        fresh = known is None
        node = node.setdefault(name, {})
        if at < len(mask) and mask[at] in "./":
            if known == {} and not fresh:
                node = {}  # everything below is already asked for
            at += 1
            continue
        if at < len(mask) and mask[at] == "(":
            if known == {} and not fresh:
                node = {}
            at = _group(mask, at + 1, node)
            if at >= len(mask) or mask[at] != ")":
                raise invalid(mask)
            return at + 1
        node.clear()
        return at


def select(tree: Tree, node: Any) -> Any:
    """What of an answer a mask shows: a list that holds nothing vanishes, an object stays."""
    if not tree or "*" in tree:
        return node if not tree or not tree["*"] else _each(tree["*"], node)
    if isinstance(node, list):
        return [select(tree, part) for part in node]
    if not isinstance(node, dict):
        return node
    answer = {}
    for name, value in node.items():
        if name in tree:
            answer[name] = select(tree[name], value)
    return answer


def _each(tree: Tree, node: Any) -> Any:
    if isinstance(node, list):
        return [_each(tree, part) for part in node]
    if isinstance(node, dict):
        return {name: select(tree, value) for name, value in node.items()}
    return node


def wants(tree: Tree, *path: str) -> bool:
    """Does the mask touch this path or something below it?"""
    node = tree
    for name in path:
        if not node or "*" in node:
            return True
        if name not in node:
            return False
        node = node[name]
    return True


def leaves(tree: Tree, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths that an update's mask names: `a.b,c` -> [("a", "b"), ("c",)]."""
    if not tree:
        return [prefix]
    found = []
    for name, below in tree.items():
        found += leaves(below, (*prefix, name))
    return found


def update(target: dict[str, Any], source: dict[str, Any], tree: Tree) -> None:
    """Set in target what the mask names, to what source says; what source leaves out is cleared."""
    if not tree or "*" in tree:
        target.clear()
        target.update(source)
        return
    for name, below in tree.items():
        if below and "*" not in below:
            part = dict(target.get(name) or {})
            update(part, source.get(name) or {}, below)
            if part:
                target[name] = part
            else:
                target.pop(name, None)
        elif source.get(name) is not None:
            target[name] = source[name]
        else:
            target.pop(name, None)
