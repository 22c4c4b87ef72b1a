"""Packages of serving import what WORKSPACE.md's table allows, and nothing of arl_tf."""

import ast
import graphlib
import re

import pytest
from conftest import ROOT

SERVING = ROOT / "serving"


def table():
    """Package -> packages that its row in WORKSPACE.md lets it import."""
    rows = re.findall(
        r"^\| `(serving(?:\.\w+)?)` \|[^|]*\|([^|]*)\|$", (ROOT / "WORKSPACE.md").read_text(), re.M
    )
    return {package: set(re.findall(r"`([\w.]+)`", allowed)) for package, allowed in rows}


def package_of(path):
    """The dotted name of the package that a file belongs to: what lies deeper belongs to it."""
    return ".".join(path.parent.relative_to(ROOT).parts[:2])


def imported_names(path):
    """Dotted names that a file imports: modules, and what may be modules of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


FILES = sorted(SERVING.rglob("*.py"))
PACKAGES = sorted({package_of(path) for path in FILES})


def owner_of(name):
    """The innermost package of serving that a dotted name lies in."""
    return max((each for each in PACKAGES if f"{name}.".startswith(f"{each}.")), key=len)


def imported_packages(path):
    """Packages of serving that a file imports from, its own left out."""
    names = [name for name in imported_names(path) if name.split(".")[0] == "serving"]
    return {owner_of(name) for name in names} - {package_of(path)}


def test_every_package_has_a_row_and_every_row_a_package():
    assert set(table()) == set(PACKAGES)
    assert len(PACKAGES) > 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_what_its_packages_row_allows(path):
    assert imported_packages(path) <= table()[package_of(path)]


def test_packages_import_each_other_in_no_circle():
    order = list(graphlib.TopologicalSorter(table()).static_order())
    assert order[-1] == "serving"


def test_modules_import_each_other_in_no_circle():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}

    def module_of(name):
        return name if name in modules else name.rpartition(".")[0]

    graph = {
        module: {module_of(name) for name in imported_names(path)} & set(modules)
        for module, path in modules.items()
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)


def test_serving_imports_nothing_of_arl_tf():
    assert not [
        path for path in FILES if "arl_tf" in {name.split(".")[0] for name in imported_names(path)}
    ]


def test_arl_tf_imports_nothing_of_serving():
    files = list((ROOT / "arl_tf").rglob("*.py"))
    assert files
    assert not [
        path for path in files if "serving" in {name.split(".")[0] for name in imported_names(path)}
    ]
