"""Reads the project's documents: their blocks of code, commands, links and headings."""

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
MARK = re.compile(r"<!-- (run|long)(?:: (.+))? -->")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        path: the document.
        line: number of the line that opens the block.
        language: such as "sh".
        mark: "run" or "long", from the comment before the block; "" without one.
        detail: what the comment says after the colon.
        text: the block's content.
    """

    path: pathlib.Path
    line: int
    language: str
    mark: str
    detail: str
    text: str

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def documents():
    """Every Markdown file that is part of the project."""
    top = [ROOT / f"{name}.md" for name in ("README", "WORKSPACE", "CONTRIBUTING", "CHANGELOG")]
    return [*top, ROOT / "serving/README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path):
    """The fenced blocks of a document, in order."""
    lines = path.read_text().split("\n")
    opened, before = None, ""
    for number, line in enumerate(lines):
        if line.startswith("```") and opened is None:
            opened, mark = number, MARK.fullmatch(before)
        elif line.startswith("```"):
            found = (mark[1], mark[2] or "") if mark else ("", "")
            text = "\n".join(lines[opened + 1 : number])
            yield Block(path, opened + 1, lines[opened][3:].strip(), *found, text)
            opened = None
        if line.strip():
            before = line.strip()


def prose(path):
    """(number, line) of the lines outside fenced blocks."""
    fenced = False
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def links(path):
    """The targets of a document's links and pictures."""
    return LINK.findall("\n".join(line for _, line in prose(path)))


def anchors(path):
    """What #fragments a document's headings give, as GitHub and mkdocs make them."""
    titles = [line.lstrip("#").strip() for _, line in prose(path) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text):
    """The commands of a shell block, each a list of words; continued lines are one."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.split("\n") if line.strip() and not line.startswith("#")]
    for line in lines:
        for part in re.split(r" && | \| ", line):
            yield [word for word in shlex.split(part, comments=True) if word != "time"]


def module_commands(text):
    """(module, arguments) of every `python -m MODULE ...` of a shell block."""
    for words in commands(text):
        if len(words) > 2 and words[0].endswith("python") and words[1] == "-m":
            yield words[2], words[3:]
