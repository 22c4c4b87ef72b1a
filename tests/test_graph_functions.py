"""Graphs are built the same on every Python: AutoGraph can't rewrite functions on 3.13."""

import ast

import pytest
from commands import ROOT

FILES = [
    path for path in sorted((ROOT / "arl_tf").rglob("*.py")) if "tf.function" in path.read_text()
]


def graph_functions(path):
    """(line, keywords) of each use of tf.function, as a decorator, as a call or by its name."""
    tree = ast.parse(path.read_text())
    called = {node.func: node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "tf.function":
            keywords = called[node].keywords if node in called else []
            yield node.lineno, {each.arg: ast.unparse(each.value) for each in keywords}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_graph_needs_python_code_to_be_rewritten(path):
    wrong = [
        line for line, keywords in graph_functions(path) if keywords.get("autograph") != "False"
    ]
    assert not wrong, f"{path}, lines {wrong}: say autograph=False, and tf.while_loop for a loop"
