"""A method's own knobs, read from its source: importing torch takes seconds, and `--help` has half of one."""

from __future__ import annotations
import __future__

import ast
import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.registry import Method

_GIVEN = ("self", "width", "max_history")
"""Arguments of a constructor that are no knobs: the recommender gives them."""


def knobs(method: Method) -> Callable[..., None] | None:
    """Return a function with the parameters of the method's constructor, explained; None where it has no knob.

    The constructor may be inherited from a class of the same file.
    """
    spec = importlib.util.find_spec(method.module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    owner = classes[method.attribute]
    while (constructor := _constructor(owner)) is None:
        bases = [classes[base.id] for base in owner.bases if isinstance(base, ast.Name) and base.id in classes]
        if not bases:
            return None
        owner = bases[0]
    parameters = constructor.args
    given = {*_GIVEN, *method.given}
    parameters.args = [parameter for parameter in parameters.args if parameter.arg not in given]
    if not parameters.args and not parameters.kwonlyargs:
        return None
    _, _, explained = (ast.get_docstring(owner) or "").partition("Args:")
    constructor.body = [ast.Expr(ast.Constant(f"The method's own knobs.\n\nArgs:{explained}"))]
    code = compile(
        ast.fix_missing_locations(ast.Module([constructor], [])),
        spec.origin,
        "exec",
        __future__.annotations.compiler_flag,
    )
    try:
        return _made(code, vars(typing))
    except NameError:  # a type or a default of the method's own: no way round the import
        return _made(code, vars(importlib.import_module(method.module)))


def defaults(method: Method) -> dict[str, Any]:
    """Return the default of every knob of the method by name, what its registration sets included."""
    stub = knobs(method)
    parameters = inspect.signature(stub).parameters if stub else {}
    return {name: parameter.default for name, parameter in parameters.items()} | method.knobs


def _constructor(owner: ast.ClassDef) -> ast.FunctionDef | None:
    return next((n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _made(code: Any, names: dict[str, Any]) -> Callable[..., None]:
    """Run the definition, and see whether all its types are known."""
    space = dict(names)
    exec(code, space)
    stub: Callable[..., None] = space["__init__"]
    typing.get_type_hints(stub)
    return stub
