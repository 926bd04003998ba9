"""The tree of errors: as drawn, each with a code and a sentence."""

import inspect

from connector import errors
from connector.errors import ConnectorError


def drawn() -> list[tuple[str, str]]:
    """(name, parent) of every line of the drawing."""
    assert errors.__doc__
    lines = [line for line in errors.__doc__.splitlines() if line.strip().isidentifier()]
    tree, above = [], [""]
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 4
        del above[depth + 1 :]
        tree.append((line.strip(), above[depth]))
        above.append(line.strip())
    return tree


def classes() -> list[type[ConnectorError]]:
    return [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, ConnectorError) and each.__module__ == errors.__name__
    ]


def test_the_tree_is_as_it_is_drawn() -> None:
    found = {each.__name__: each.__bases__[0].__name__ for each in classes()}

    assert dict(drawn()) == found | {"ConnectorError": ""}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [each.code for each in classes()]

    assert len(set(codes)) == len(codes)
