"""The import rule: WORKSPACE.md says which package may import which, and the code keeps to it."""

import ast
import collections
import graphlib
import re

import pytest
from conftest import ROOT

PACKAGE = ROOT / "arl_tf"
# The commands and what they share with `import arl_tf`: these may import everything.
TOP = "arl_tf"


def rule():
    """Package -> the packages that the table in WORKSPACE.md lets it import."""
    table = (
        (ROOT / "WORKSPACE.md")
        .read_text()
        .partition("| package | for | may import |")[2]
        .partition("\n\n")[0]
    )
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|[^|]*\|([^|]*)\|$", table, re.M)
    return {
        package: set(re.findall(r"`(\w+)`", allowed))
        for packages, allowed in rows
        for package in re.findall(r"`(\w+)`", packages)
    }


def package_of(path):
    """The package of ours that a file lies in, however deep; TOP for those beside the packages."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else TOP


def modules_named(path):
    """Dotted names of every module that a file may import, late imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the package"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages_imported(path):
    """Packages of ours, other than its own, that a file imports."""
    dotted = [name.split(".") for name in modules_named(path) if name.split(".")[0] == "arl_tf"]
    found = {name[1] for name in dotted if len(name) > 1}
    return {name for name in found if (PACKAGE / name).is_dir()} - {package_of(path)}


FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted({package_of(path) for path in FILES} - {TOP})


def test_every_package_has_a_row_and_every_row_a_package():
    assert sorted(rule()) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_its_row_allows(package):
    files = [path for path in FILES if package_of(path) == package]
    assert files
    wrong = {
        str(path.relative_to(ROOT)): beyond
        for path in files
        if (beyond := packages_imported(path) - rule()[package])
    }
    assert not wrong


def test_packages_import_each_other_in_no_circle():
    graph = {
        package: set().union(*(packages_imported(p) for p in FILES if package_of(p) == package))
        for package in PACKAGES
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_files_beside_the_packages_are_the_commands_alone():
    top = {path.name for path in FILES if package_of(path) == TOP}
    assert top == {"__init__.py", "main.py", "bench.py", "summary.py", "example_folder.py"}


def test_the_rule_table_is_short_and_no_folder_is_full():
    assert len(rule()) <= 14
    files = [path for top in ("arl_tf", "serving", "tests") for path in (ROOT / top).rglob("*.py")]
    sizes = collections.Counter(p.parent for p in files if "node_modules" not in p.parts)
    assert not {str(folder): count for folder, count in sizes.items() if count > 20}


def test_only_main_reads_flags():
    readers = [p.name for p in FILES if "flags.FLAGS" in p.read_text()]
    assert readers == ["main.py"]


READS_OR_WRITES = {"open", "print", "read_bytes", "read_text", "write_bytes", "write_text"}
# Readers of weights that other packages bring.
READERS_OF_WEIGHTS = {"weight_files.py", "dlib_face.py", "onnx_file.py"}


@pytest.mark.parametrize("package", ["models", "attacks", "metrics"])
def test_maths_does_no_input_or_output(package):
    paths = list((PACKAGE / package).rglob("*.py"))
    found = {
        path.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in READS_OR_WRITES
    }
    assert len({path.parent for path in paths}) > 1
    assert found == (READERS_OF_WEIGHTS if package == "models" else set())
