"""The import rule: who may import what stands in WORKSPACE.md, and the code keeps to it."""

import ast
import re

import pytest
from conftest import ROOT

PACKAGE = ROOT / "arl_tf"


def allowed_imports():
    """Module -> modules of ours that the table in WORKSPACE.md lets it import."""
    rows = re.findall(
        r"^\| `(\w+)\.py` \|[^|]*\|([^|]*)\|$", (ROOT / "WORKSPACE.md").read_text(), re.M
    )
    return {module: set(re.findall(r"`(\w+)`", allowed)) for module, allowed in rows}


def our_imports(path):
    """Modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "arl_tf":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arl_tf."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("arl_tf.")}
    return found


MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_the_table_allows(module):
    assert module in allowed_imports(), f"{module}.py has no row in WORKSPACE.md's table"
    assert our_imports(PACKAGE / f"{module}.py") <= allowed_imports()[module]


def test_table_names_no_module_that_is_gone():
    assert set(allowed_imports()) == set(MODULES)


def test_only_main_reads_flags():
    readers = [p.name for p in PACKAGE.glob("*.py") if "flags.FLAGS" in p.read_text()]
    assert readers == ["main.py"]


@pytest.mark.parametrize("module", ["losses", "models", "trainer", "attacks", "metrics"])
def test_maths_does_no_input_or_output(module):
    calls = {
        node.func.id
        for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print"}
