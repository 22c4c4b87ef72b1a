"""What the demo page runs in the browser: LiteRT.js, and the TFLite file of the served encoder."""

import dataclasses
import hashlib
import json
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

from serving.common import files as common
from serving.device.manifest import manifest_of

WEB = pathlib.Path(__file__).parent
PACKAGES = WEB / "node_modules" / "@litertjs"
KINDS = {".js": "text/javascript", ".wasm": "application/wasm"}
INSTALL = "npm ci --prefix serving/web"
# In this order; an int8 file computes other codes on a GPU.
PRECISIONS = ("float32", "float16", "int8")


@dataclasses.dataclass(frozen=True)
class LiteRt:
    """The installed npm packages of LiteRT.js.

    Attributes:
        version: of @litertjs/core.
        files: path below node_modules/@litertjs -> file; scripts and WASM, nothing else.
    """

    version: str
    files: Mapping[str, pathlib.Path]

    @property
    def base(self) -> str:
        """Where the page finds the packages; a new version has a new address."""
        return f"/demo/litert/{self.version}/"

    def import_map(self) -> str:
        """JSON that tells the browser where both packages are."""
        packages = {"core": "core/dist/index.js", "wasm-utils": "wasm-utils/dist/index.js"}
        names = {f"@litertjs/{name}": self.base + path for name, path in packages.items()}
        return json.dumps({"imports": names})


def find_litert(packages: pathlib.Path = PACKAGES) -> LiteRt | None:
    """What `npm ci` has installed; None where it has not run."""
    description = packages / "core" / "package.json"
    if not description.is_file() or not (packages / "wasm-utils" / "dist" / "index.js").is_file():
        return None
    folders = ("core/dist", "core/wasm", "wasm-utils/dist")
    files = [file for folder in folders for file in sorted((packages / folder).iterdir())]
    return LiteRt(
        version=json.loads(description.read_text(encoding="utf-8"))["version"],
        files={
            file.relative_to(packages).as_posix(): file for file in files if file.suffix in KINDS
        },
    )


@dataclasses.dataclass(frozen=True)
class BrowserEncoder:
    """A TFLite file with what its manifest says.

    Attributes:
        file: export/tflite/encoder_*.tflite.
        manifest: manifest.json's content.
    """

    file: pathlib.Path
    manifest: Mapping[str, Any]

    @property
    def version(self) -> int:
        """Of the SavedModels that were exported with the file."""
        return int(self.manifest["version"])

    def content(self) -> bytes | None:
        """The file's bytes; None where they are not those that the manifest describes.

        Of an export that is just being replaced the codes would be read by the wrong task head.
        """
        content = self.file.read_bytes()
        described = self.manifest.get("files", {}).get(f"tflite/{self.file.name}")
        is_other = described and hashlib.sha256(content).hexdigest() != described["sha256"]
        return None if is_other else content

    def facts(self) -> dict[str, Any]:
        """For the page: what is run, and where it may run."""
        precision = self.file.stem.removeprefix("encoder_")
        delegates = self.manifest.get("tflite", {}).get(precision, {}).get("delegates", ["cpu"])
        return {
            # No file of another version is given out for it: another task head reads its codes.
            "url": f"/demo/encoder.tflite?version={self.version}",
            "version": self.version,
            "gpu": "gpu" in delegates,
            "bytes": self.file.stat().st_size,
        }


def read_manifest(path: pathlib.Path) -> dict[str, Any] | None:
    """manifest.json's content; None where there is none, or none as exports write it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        for each in content.get("files", {}).values():
            _ = each["sha256"]
        for each in content.get("tflite", {}).values():
            _ = each.get("delegates")
        return content if type(content["version"]) is int else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def encoder_of(export: pathlib.Path) -> BrowserEncoder | None:
    """The TFLite file of an export's folder; None where it has none, or no manifest."""
    files = [export / "tflite" / f"encoder_{precision}.tflite" for precision in PRECISIONS]
    return next((found for found in map(encoder_in, files) if found), None)


def encoder_in(file: pathlib.Path) -> BrowserEncoder | None:
    """A TFLite file and its manifest; None where either is missing or damaged."""
    if not file.is_file():
        return None
    found = common.flaw(file)
    if found:
        logging.getLogger(__name__).warning("%s %s: browsers can't encode with it", file, found)
        return None
    manifest = read_manifest(manifest_of(file))
    return manifest and BrowserEncoder(file, manifest)


def export_of(served: pathlib.Path) -> pathlib.Path:
    """The export's folder of a served version, export/saved_model/encoder/<version>."""
    return served.parents[2]
