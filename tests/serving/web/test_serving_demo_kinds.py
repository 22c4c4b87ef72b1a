"""The demo page refuses the picture files that training and the server refuse, and no others."""

import base64
import json
import shutil
import subprocess

import picture_files
import pytest
from waiting import OF_A_PROCESS

from serving.web.demo import STATIC

READ_ALL = """
import fs from "node:fs";
const files = JSON.parse(fs.readFileSync(0));
const words = await Promise.all(Object.entries(files).map(async ([name, content]) =>
  [name, await refusal(Uint8Array.from(Buffer.from(content, "base64")))]));
console.log(JSON.stringify(Object.fromEntries(words)));
"""


def page_says(files):
    """What the page's own rule says of files: name -> words, or "" where it takes one."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: nothing runs the page's rule outside a browser")
    finished = subprocess.run(
        [node, "--input-type=module", "-e", (STATIC / "kinds.js").read_text() + READ_ALL],
        input=json.dumps({name: base64.b64encode(file).decode() for name, file in files.items()}),
        capture_output=True,
        text=True,
        timeout=OF_A_PROCESS,
        check=True,
    )
    return json.loads(finished.stdout)


def test_what_training_reads_the_page_takes():
    files = {name: file for name, (file, _, _) in picture_files.READ.items()}
    assert page_says(files) == dict.fromkeys(files, "")


def test_what_training_refuses_the_page_refuses_for_the_same_reason():
    files = {name: file for name, (file, _) in picture_files.REFUSED.items()}
    for name, words in page_says(files).items():
        reason = picture_files.REFUSED[name][1]
        assert reason in words or words.startswith("is no picture of a known format"), (name, words)
        assert words, name
