"""The documents: size, links, the list of pages, and flags of every command that they show."""

import dataclasses
import importlib.util
import re
import subprocess
import sys
import tomllib
from urllib.parse import urlsplit

import pytest
from absl import flags
from documents import ROOT, anchors, blocks, documents, links, module_commands

from arl_tf.config import flag_definitions, idle, inheritance, settings

LONGEST_LINE = 100
SOURCES = (ROOT, ROOT / "arl_tf")
# Flags of absl, of pytest, mkdocs and other tools.
TOOLS = {"flagfile", "help", "helpfull", "strict", "dist", "no", "prefix", "logdir", "flag", "name"}
TOOLS |= {"model_config_file_poll_wait_seconds"}  # TF Serving's
TOOLS |= {"disable", "output"}  # pip-audit's and CycloneDX's
TOOLS |= {"direct_num_workers", "direct_running_mode"}  # Apache Beam's
DOCUMENTS = pytest.mark.parametrize(
    "path", documents(), ids=lambda path: str(path.relative_to(ROOT))
)


@pytest.mark.parametrize(
    "path", [*documents(), *sorted((ROOT / "configs").glob("*.cfg"))], ids=lambda path: path.name
)
def test_lines_outside_tables_are_short(path):
    lines = enumerate(path.read_text().split("\n"), 1)
    long = [number for number, line in lines if len(line) > LONGEST_LINE and line[:1] != "|"]
    assert not long


@pytest.mark.parametrize(("name", "most"), [("README.md", 150), ("WORKSPACE.md", 120)])
def test_overviews_are_short(name, most):
    assert len((ROOT / name).read_text().splitlines()) <= most


@DOCUMENTS
def test_links_lead_somewhere(path):
    for target in links(path):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (path.parent / parts.path).resolve() if parts.path else path
        assert file.exists(), target
        if parts.fragment:
            assert parts.fragment in anchors(file), target


@DOCUMENTS
def test_modules_and_configs_that_are_named_exist(path):
    named = set(re.findall(r"`((?:\w+/)+\w+\.(?:py|cfg|config))`", path.read_text()))
    missing = [name for name in named if not any((r / name).exists() for r in SOURCES)]
    assert not missing


def flags_that_exist():
    """Names of flags: of main, summary and bench, the server's, the clients', and of tools."""
    own = [ROOT / "arl_tf" / name for name in ("summary.py", "bench.py", "example_folder.py")]
    files = [*(ROOT / "serving").rglob("*.py"), *own]
    sources = "".join(path.read_text() for path in files)
    declared = re.findall(r'"(?:--)?(\w+)",', sources)
    of_main = {field.name for field in dataclasses.fields(settings.Config)}
    return of_main | {flag_definitions.HELD_OUT} | set(declared) | TOOLS


@DOCUMENTS
def test_flags_that_are_named_exist(path):
    named = set(re.findall(r"(?<![\w-])--(\w*[a-z])\b", path.read_text()))
    assert not named - flags_that_exist()


def test_mkdocs_names_every_page_once():
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = sorted(re.findall(r"- [^:]+: (\S+\.md)$", nav, re.M))
    docs = ROOT / "docs"
    assert named == sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))


def test_the_hooks_run_the_ruff_of_the_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = (p for p in project["optional-dependencies"]["test"] if p.startswith("ruff=="))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"additional_dependencies: (.*)", hooks) == [f'["{wanted}"]'] * 2


@DOCUMENTS
def test_every_block_of_code_is_run_or_marked_as_long(path):
    for block in blocks(path):
        assert block.language in ("sh", "python"), block
        assert block.mark == "run" or (block.mark == "long" and block.detail), block


@DOCUMENTS
def test_python_blocks_are_python(path):
    for block in blocks(path):
        if block.language == "python":
            compile(block.text, str(block), "exec")


@DOCUMENTS
def test_commands_have_flags_that_exist_and_fit_together(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    recorded = {}
    for block in blocks(path):
        if block.language == "sh":
            for module, arguments in module_commands(block.text):
                arguments = [argument.replace("--seed=S", "--seed=0") for argument in arguments]
                try:
                    PARSERS[module](arguments, recorded)
                except (ValueError, SystemExit, flags.Error) as error:
                    pytest.fail(f"{block}: {module} {' '.join(arguments)}: {error}")


def parse_main(arguments, recorded):
    """Builds the settings that the command would have, with those of earlier commands there.

    Args:
        arguments: the command's flags.
        recorded: run directory -> settings of the document's earlier commands; updated.
    """
    values = flags.FlagValues()
    flag_definitions.define_flags(values)
    shown = [argument for argument in arguments if argument not in ("--help", "--helpfull")]
    if values(["main", *shown]) != ["main"]:
        raise ValueError("an argument is no flag")
    given = flag_definitions.given_flags(values)
    flag_definitions.check_given(given)
    workdir = given.get("workdir", "")
    inherited = inheritance.inherited(recorded.get(workdir, {}), {}, given)
    config = settings.from_mapping({**inherited, **given})
    idle.check(config, given, idle.typed_names(arguments))
    recorded[workdir] = settings.as_dict(config)


def parse_local_server(arguments, recorded):
    """Reads the server's flags."""
    from serving import local_server

    values = flags.FlagValues()
    local_server.define_flags(values)
    if values(["local_server", *arguments]) != ["local_server"]:
        raise ValueError("an argument is no flag")


def parse_client(arguments, recorded):
    """Reads the client's arguments."""
    from serving import client_cli

    client_cli.parse(arguments)


def parse_load_test(arguments, recorded):
    """Reads the load test's arguments."""
    from serving import load_test

    load_test.parse(arguments)


def parse_check_gpu(arguments, recorded):
    """Reads the GPU check's arguments."""
    from serving import check_gpu

    check_gpu.parse_arguments(arguments)


def parse_soak(arguments, recorded):
    """Reads the soak test's command line."""
    from serving import soak

    soak.parse(arguments)


def parse_example_folder(arguments, recorded):
    """Reads the example folder's arguments."""
    from arl_tf import example_folder

    example_folder.parser().parse_args(arguments)


def parse_nothing(arguments, recorded):
    """Takes commands of others, and those without arguments."""


PARSERS = {
    "arl_tf.main": parse_main,
    "arl_tf.bench": parse_nothing,
    "arl_tf.summary": parse_nothing,
    "arl_tf.example_folder": parse_example_folder,
    "serving.local_server": parse_local_server,
    "serving.client": parse_client,
    "serving.load_test": parse_load_test,
    "serving.check_gpu": parse_check_gpu,
    "serving.soak": parse_soak,
    "pytest": parse_nothing,
    "venv": parse_nothing,
}


def test_every_config_is_named_in_a_document():
    pages = "".join(path.read_text() for path in documents())
    missing = [p.name for p in (ROOT / "configs").glob("*.cfg") if f"configs/{p.name}" not in pages]
    # It holds what the others share.
    assert set(missing) <= {"base.cfg"}


def test_the_test_line_of_readme_is_found_by_the_ci_script():
    script = (ROOT / ".ci/run").read_text()
    line = re.search(r"^line=\$\(.*?README\.md\)$", script, re.MULTILINE | re.DOTALL)
    found = subprocess.run(
        ["bash", "-c", f'{line[0]}; echo "$line"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"python3 -m venv .*pip install .*pytest.*", found.stdout.strip())


def mkdocs_python():
    """An interpreter that has mkdocs: of .ci/run's environment for it, or this one; or None."""
    separate = ROOT / ".venv-docs/bin/python"
    if separate.exists():
        return str(separate)
    return sys.executable if importlib.util.find_spec("mkdocs") else None


@pytest.mark.slow
def test_the_site_is_built_and_asks_no_other_host(tmp_path):
    python = mkdocs_python()
    if python is None:
        pytest.skip("mkdocs is not installed: pip install -e '.[docs]'")
    built = subprocess.run(
        [python, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert pages
    fetched = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//")
    assert not [page.name for page in pages if fetched.search(page.read_text())]
