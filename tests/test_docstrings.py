"""Whoever calls a function of arrays reads their shapes in its docstring, as `[N, H, W, 3]`."""

import ast
import re

from conftest import ROOT

ARRAY = re.compile(r"\b(np\.ndarray|tf\.Tensor|keras\.KerasTensor)\b")
# A size: a name or a sum of names, a number, or the rest of the sides.
SIZE = r"(?:[*\w`][\w' *+/().`-]*|\.{1,3})"
SIZES = re.compile(rf"\[(?!0, ){SIZE}(?:, {SIZE})*\]")
WORDS = re.compile(r"\b(scalars?|shapes?)\b", re.IGNORECASE)
# What a shape would tell nobody: name -> why.
EXCEPTIONS: dict[str, str] = {}


def names_a_shape(text):
    """Whether a docstring has a shape in brackets, or speaks of one; [0, 1] is a range."""
    brackets = (match[0] for match in SIZES.finditer(text))
    return any(re.search(r"[A-Za-z]|\.{3}|^\[\d+\]$", found) for found in brackets) or bool(
        WORDS.search(text)
    )


def is_public(name):
    return name == "__call__" or not name.startswith("_")


def public_functions(body, owner=""):
    """(name, node) of the public functions of a module, and of the methods of its classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from public_functions(node.body, f"{owner}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            yield owner + node.name, node


def takes_or_gives_arrays(function):
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    annotations = [each.annotation for each in parameters if each is not None]
    return any(ARRAY.search(ast.unparse(each)) for each in (*annotations, function.returns) if each)


def functions_of_arrays():
    """path:name -> docstring, of arl_tf and serving."""
    paths = [path for top in ("arl_tf", "serving") for path in sorted((ROOT / top).rglob("*.py"))]
    return {
        f"{path.relative_to(ROOT)}:{name}": ast.get_docstring(node) or ""
        for path in paths
        if "node_modules" not in path.parts
        for name, node in public_functions(ast.parse(path.read_text()).body)
        if takes_or_gives_arrays(node)
    }


def test_functions_of_arrays_name_a_shape():
    found = functions_of_arrays()
    assert len(found) > 500
    silent = [name for name, text in found.items() if not names_a_shape(text)]
    assert sorted(silent) == sorted(EXCEPTIONS)
