"""python -m serving.client encode: a photo becomes a code here, and only the code leaves."""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import tempfile

import numpy as np

from serving.client_flags import parse
from serving.clients.contract import Attributes
from serving.clients.errors import EncoderError, NotFoundError
from serving.clients.rest_client import EncoderClient
from serving.device import packing, picture_files
from serving.device.encoder import DeviceEncoder
from serving.device.manifest import Manifest, manifest_of, read_manifest
from serving.device.noise_key import read_or_make_key
from serving.device.similar import SimilarPhotos

# Of many classes only the likeliest are printed for people.
MOST_CLASSES = 5
# Digits of a hash that a message shows.
SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the photos.

    Attributes:
        photos: paths of the N that were encoded.
        unreadable: for each of the others the reason, by path.
        attributes: of the N codes; None where nothing was sent.
        sent_bytes: bytes of the bodies that were sent.
        saved_bytes: bytes of the file that was written.
        task_kind: of the manifest: what the attributes are.
    """

    photos: list[pathlib.Path]
    unreadable: dict[str, str]
    attributes: Attributes | None = None
    sent_bytes: int = 0
    saved_bytes: int = 0
    task_kind: str = "multi_label"


def main(arguments: list[str] | None = None) -> None:
    """The command line; exits with 0, 1 (photos or server failed) or 2 (flags or their files)."""
    parser, options = parse(arguments)
    try:
        device, manifest = opened(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    try:
        outcome = encode(options, device, manifest)
    except (ValueError, OSError, EncoderError) as error:
        parser.exit(1, f"error: {error}\n")
    if options.json:
        print_json(outcome)
    else:
        print_text(outcome, options)
    if outcome.unreadable:
        parser.exit(1)


def opened(options: argparse.Namespace) -> tuple[DeviceEncoder, Manifest]:
    """The files that the command line names.

    Raises:
        ValueError, OSError: one is missing or damaged, or they don't belong together.
    """
    key = read_or_make_key(options.noise_key) if options.noise_key else None
    similar = None
    if options.noise_key_by == "similar":
        similar = SimilarPhotos(f"{options.noise_key}.similar")
    device = DeviceEncoder(options.tflite, noise_key=key, similar=similar)
    manifest = read_manifest(options.manifest or manifest_of(options.tflite))
    check_same_export(device, manifest)
    device.fit = manifest.fit
    return device, manifest


def encode(options: argparse.Namespace, device: DeviceEncoder, manifest: Manifest) -> Outcome:
    """Encodes the photos, and sends and writes what the command line asks for.

    Raises:
        ValueError, OSError, EncoderError: it can't be done at all.
    """
    photos, codes, unreadable = encode_photos(device, picture_files.expanded(options.photos))
    outcome = Outcome(photos, unreadable, task_kind=manifest.task_kind)
    if options.save_code:
        content = code_bytes(codes, manifest)
        write_aside(pathlib.Path(options.save_code), content)
        outcome = dataclasses.replace(outcome, saved_bytes=len(content))
    if options.head:
        attributes, sent_bytes = read_attributes(codes, manifest, options)
        outcome = dataclasses.replace(outcome, attributes=attributes, sent_bytes=sent_bytes)
    return outcome


def check_same_export(device: DeviceEncoder, manifest: Manifest) -> None:
    """Raises ValueError where file and manifest don't belong together."""
    found = (device.image_size, device.code_shape)
    expected = (manifest.image_size, manifest.code_shape)
    if found != expected:
        raise ValueError(
            f"The TFLite file has image size and code shape {found}, the manifest {expected}: they"
            " are of different exports."
        )
    if manifest.file_hashes and device.sha256 not in manifest.file_hashes:
        raise ValueError(
            f"The TFLite file (sha256 {device.sha256[:SHOWN]}...) is none of those that the"
            " manifest lists: they are of different exports. Name its own with --manifest=FILE."
        )


def encode_photos(
    device: DeviceEncoder, paths: list[pathlib.Path]
) -> tuple[list[pathlib.Path], np.ndarray, dict[str, str]]:
    """Paths and codes float32 [N, ...] of the photos that can be read, reasons of the others."""
    unreadable: dict[str, str] = {}

    def note(path: pathlib.Path, reason: str) -> None:
        unreadable[str(path)] = reason
        print(f"{path}: {reason}", file=sys.stderr)

    photos, codes = [], []
    for path, code in device.encode_files(paths, on_unreadable=note):
        photos.append(path)
        codes.append(code)
    if not photos:
        raise ValueError("none of the photos could be read; nothing was sent or written.")
    return photos, np.stack(codes), unreadable


def read_attributes(
    codes: np.ndarray, manifest: Manifest, options: argparse.Namespace
) -> tuple[Attributes, int]:
    """Sends codes float32 [N, ...] to the task head; its answer and the bytes that were sent.

    Where the command line names no version, it is the manifest's: TF Serving's newest may read
    another encoder's codes.
    """
    version = options.version
    if version is None and options.label is None:
        version = manifest.version
    with EncoderClient(
        options.head,
        task_head=options.model,
        version=version,
        label=options.label,
        attribute_names=manifest.attribute_names,
        encoder_sha256=manifest.encoder_sha256,
        timeout=options.timeout,
    ) as client:
        try:
            warn_of_unknown_encoder(client, manifest)
            return client.read_attributes(codes), client.sent_bytes
        except NotFoundError as error:
            raise ValueError(f"{error}. {missing_words(options, version)}") from error


def warn_of_unknown_encoder(client: EncoderClient, manifest: Manifest) -> None:
    """Says where nothing shows that the task head reads this encoder's codes."""
    is_paired = client.version is not None and client.version == manifest.version
    if not is_paired and not (manifest.encoder_sha256 and client.head_encoder()):
        print(
            f"{client.task_head}: nothing tells which encoder's codes it reads (an export of an"
            " older version of arl_tf); if it is another encoder, the answers mean nothing",
            file=sys.stderr,
        )


def missing_words(options: argparse.Namespace, version: int | None) -> str:
    """What to do where the server has no such task head."""
    if options.label is not None:
        return f"Check --model={options.model} and --label={options.label}."
    if version is None or options.version is not None:
        return f"Check --model={options.model} and --version."
    return (
        f"The manifest is of version {version}: take the .tflite file and the manifest of a version"
        f" that the server has, have it serve {version} too, or name another task head with"
        " --version=N or --label=NAME."
    )


def code_bytes(codes: np.ndarray, manifest: Manifest) -> bytes:
    """Codes float32 [N, ...] as a file: packed where they have levels, else as they are.

    Then they are in little-endian order, one code behind the other.
    """
    if manifest.levels:
        return packing.pack(codes, manifest.levels, manifest.outer)
    return codes.astype("<f4").tobytes()


def write_aside(path: pathlib.Path, content: bytes) -> None:
    """Writes a file under another name first, so that it is there whole or not at all.

    A link stays one; a pipe or device is written to.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(name, mode_of(path))
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def mode_of(path: pathlib.Path) -> int:
    """The permissions that a file has, or that the process gives new files."""
    if path.exists():
        return path.stat().st_mode & 0o777
    # It can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def print_text(outcome: Outcome, options: argparse.Namespace) -> None:
    """Prints what the task head read, for people, then what was written and sent."""
    for path, lines in zip(outcome.photos, answer_lines(outcome), strict=False):
        print(path, *lines, sep="\n")
    what = f"{len(outcome.photos)} code{'s' if len(outcome.photos) > 1 else ''}"
    if options.save_code:
        print(f"wrote {outcome.saved_bytes} bytes, {what}, to {options.save_code}")
    if options.head:
        print(f"sent {outcome.sent_bytes} bytes, {what} and no image, to {options.head}")


def answer_lines(outcome: Outcome) -> list[list[str]]:
    """Lines for each photo: what is decided to be there first, the likeliest first; or values."""
    if outcome.attributes is None:
        return []
    found, decided = outcome.attributes.as_dicts(), outcome.attributes.decisions_as_dicts()
    if outcome.attributes.value is not None:
        return [[f"  {value:12.3f}  {name}" for name, value in each.items()] for each in found]
    most = MOST_CLASSES if outcome.task_kind == "single_label" else None
    answers = []
    for attributes, decision in zip(found, decided, strict=True):
        order = sorted(attributes, key=lambda name: (not decision[name], -attributes[name]))
        lines = [
            f"  {'yes' if decision[name] else 'no':3}  {100 * attributes[name]:5.1f} %  {name}"
            for name in order
        ]
        answers.append(lines[:most])
    return answers


def print_json(outcome: Outcome) -> None:
    """Prints the same as one JSON object."""
    nothing = [None] * len(outcome.photos)
    found = outcome.attributes.as_dicts() if outcome.attributes else nothing
    decided = outcome.attributes.decisions_as_dicts() if outcome.attributes else nothing
    read_values = outcome.attributes is not None and outcome.attributes.value is not None
    report = {
        "task_kind": outcome.task_kind,
        "photos": [
            {
                "photo": str(path),
                "attributes": None if read_values else answers,
                "decisions": None if read_values else decisions,
                "values": answers if read_values else None,
            }
            for path, answers, decisions in zip(outcome.photos, found, decided, strict=True)
        ],
        "unreadable": outcome.unreadable,
        "sent_bytes": outcome.sent_bytes,
        "saved_bytes": outcome.saved_bytes,
    }
    print(json.dumps(report))
