"""The flags of python -m serving.client encode: what each is for, and what can't be meant."""

import argparse
from collections.abc import Callable
from typing import Any

from serving.utils.path_argument import path_argument

LONGEST_S = 86400.0
MODEL, TIMEOUT_S = "task_head", 10.0
# What says how the task head is asked: nothing without --head.
OF_HEAD = ("model", "version", "label", "timeout")
Add = Callable[..., Any]


def parse(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line; exits with 2 where it can't be meant."""
    parser = argparse.ArgumentParser(prog="python -m serving.client", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "encode",
        allow_abbrev=False,
        help="encode photos on this device, send only their codes",
        description="Encodes photos on this device with TFLite, sends only the codes to the task"
        " head, and prints the attributes, the class or the values it reads from them. Each"
        " attribute has a threshold of its own, so a yes may have a lower probability than a no."
        " The yes stand first, each group with the highest probability first.",
    )
    add_photos(command.add_argument)
    add_task_head(command.add_argument)
    add_outputs(command.add_argument)
    options = parser.parse_args(arguments)
    check(command, options)
    return parser, options


def add_photos(add: Add) -> None:
    """What is encoded, and with what."""
    add(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="a picture of any size, a folder (with its subfolders), or a pattern such as"
        " 'album/*.jpg' in quotes",
    )
    add(
        "--tflite",
        required=True,
        type=path_argument("tflite"),
        metavar="FILE",
        help="the exported encoder_*.tflite",
    )


def add_task_head(add: Add) -> None:
    """Where codes are sent, and which task head reads them there."""
    add("--head", metavar="HOST:PORT", help="the server of the task head (REST)")
    add("--model", metavar="NAME", help=f"the task head's name there (default: {MODEL})")
    add(
        "--version",
        type=int,
        metavar="N",
        help="the task head's version; default: that of the manifest, whose codes it reads",
    )
    add("--label", metavar="NAME", help="a label instead of a version, such as canary")
    add(
        "--manifest",
        type=path_argument("manifest"),
        metavar="FILE",
        help="the export's manifest.json; default: beside the TFLite file or in the folder above",
    )
    add(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help=f"until a call fails (default: {TIMEOUT_S:g})",
    )


def add_outputs(add: Add) -> None:
    """What is written, with what noise, and how answers are printed."""
    add(
        "--save_code",
        type=path_argument("save_code"),
        metavar="FILE",
        help="write the codes: packed, ceil(log2 levels) bits a value, where the encoder has"
        " levels (see serving/device/packing.py), else little-endian float32",
    )
    add(
        "--noise_key",
        type=path_argument("noise_key"),
        metavar="FILE",
        help="a secret of 32 bytes, made where there is none: a photo that is sent again gets the"
        " same noise, which then can't be averaged out (see serving/device/noise_key.py)",
    )
    add(
        "--noise_key_by",
        choices=("photo", "similar"),
        default="photo",
        help="what shares noise by --noise_key: only the same photo, or similar ones half of it,"
        " too (the shots of a burst, copies, crops). The device then remembers a hash of 8 bytes"
        " for each group of similar photos, in the file KEY.similar beside the key (default:"
        " %(default)s; see docs/threat_model.md)",
    )
    add("--json", action="store_true", help="print one JSON object")


def check(command: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exits with 2 for flags that don't go together, and for values out of range.

    Fills in the defaults of flags that are refused without others.
    """
    if not (options.head or options.save_code):
        command.error("give --head=HOST:PORT to send codes to, --save_code=FILE, or both")
    given = [f"--{name}" for name in OF_HEAD if getattr(options, name) is not None]
    if given and not options.head:
        command.error(
            f"got {', '.join(given)} without --head: expected --head=HOST:PORT, the server of the"
            " task head that they are about; --save_code alone asks none"
        )
    options.model = MODEL if options.model is None else options.model
    options.timeout = TIMEOUT_S if options.timeout is None else options.timeout
    if options.noise_key_by == "similar" and not options.noise_key:
        command.error("--noise_key_by=similar needs --noise_key=FILE, the secret that it is about")
    if options.version is not None and options.label is not None:
        command.error("give --version or --label, not both")
    if options.version is not None and options.version < 0:
        command.error(f"--version must be >= 0, got {options.version}")
    if not 0 < options.timeout <= LONGEST_S:
        command.error(f"--timeout must be > 0 and <= {LONGEST_S:g}, got {options.timeout:g}")
