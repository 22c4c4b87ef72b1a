"""What the demo page is told before it gets a photo: what runs where, and what is known of it."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from serving.device.manifest import CROP
from serving.server.errors import ServingError
from serving.server.model_store import ModelStore
from serving.web import browser_files
from serving.web.attackers import DemoAttacker
from serving.web.browser_files import INSTALL, BrowserEncoder, LiteRt

ENCODER, TASK_HEAD = "encoder", "task_head"
NO_FILE = (
    "there is no .tflite file with its manifest beside the served encoder; --demo_encoder=FILE"
    " names one"
)
OTHER_ENCODER = (
    "The attackers of --demo_attacker know the codes of another encoder, so they are left out."
)


class PageFacts:
    """Facts of a server, read anew for every visitor: exports come and go while it runs."""

    def __init__(
        self,
        store: ModelStore,
        attacker: DemoAttacker,
        *,
        litert: LiteRt | None = None,
        given: pathlib.Path | None = None,
    ):
        """Takes what may be told of.

        Args:
            store: the models that are being served.
            attacker: for the reconstructions.
            litert: LiteRT.js; None where it is not installed.
            given: the TFLite file for browsers; None: the one beside the served encoder.
        """
        self._attacker = attacker
        self.litert = litert
        self._store = store
        self._given = given

    def tell(self) -> dict[str, Any]:
        """The facts.

        Returns:
            For JSON: encoder (url, version, gpu, bytes) and litert (the packages' address), None
            where the page can't encode, then why_server says why; fit (how photos become square);
            image_size, trained_on, noise, code (shape, bytes), None where they are not known;
            attacked (what there are attackers for), unprotected_in_browser; findings (see
            `attackers.read_findings`);
            why_no_attackers, where there are some that do not count, else None; commands that make
            attackers.
        """
        encoder, export = self.encoder(), self._export()
        why = self._why_server(encoder)
        attacker = self.attacker
        return {
            "encoder": None if why else encoder.facts(),
            "litert": None if why else self.litert.base,
            "why_server": why,
            **self._of_manifest(encoder, export),
            "attacked": attacker.attacked,
            "unprotected_in_browser": attacker.unprotected_file is not None,
            "findings": attacker.findings,
            "why_no_attackers": None if attacker is self._attacker else OTHER_ENCODER,
            "commands": attackers_commands(export),
        }

    @property
    def attacker(self) -> DemoAttacker:
        """The attackers; none where they were trained on the codes of another encoder."""
        attacked, served = self._attacker.findings.get("encoder_sha256"), self._encoder_hash()
        return DemoAttacker() if attacked and served and attacked != served else self._attacker

    def _encoder_hash(self) -> str | None:
        """Of the weights of the encoder whose codes the page shows; None where nothing tells it."""
        encoder, export = self.encoder(), self._export()
        return self._manifest(encoder, export).get("encoder_sha256")

    def encoder(self) -> BrowserEncoder | None:
        """The TFLite file that browsers run; None where there is none."""
        if self._given is not None:
            return browser_files.encoder_in(self._given)
        export = self._export()
        return export and browser_files.encoder_of(export)

    def _manifest(
        self, encoder: BrowserEncoder | None, export: pathlib.Path | None
    ) -> Mapping[str, Any]:
        if encoder is not None:
            return encoder.manifest
        return (export and browser_files.read_manifest(export / "manifest.json")) or {}

    def _of_manifest(
        self, encoder: BrowserEncoder | None, export: pathlib.Path | None
    ) -> dict[str, Any]:
        manifest = self._manifest(encoder, export)
        code = manifest.get("code")
        return {
            "image_size": manifest.get("image_size") or self._served_size(),
            "fit": (manifest.get("preprocessing") or {}).get("fit", CROP),
            "trained_on": manifest.get("trained_on") or self.attacker.findings.get("trained_on"),
            "noise": code and bool(code.get("noise")),
            "code": code and {name: code[name] for name in ("shape", "bytes")},
        }

    def _export(self) -> pathlib.Path | None:
        """The export's folder of the encoder that is being served; None without one."""
        try:
            with self._store.lease(ENCODER) as served:
                return browser_files.export_of(served.path)
        except (ServingError, IndexError):
            return None

    def _served_size(self) -> int | None:
        """The side of the served encoder's images; None where it does not tell."""
        try:
            with self._store.lease(ENCODER) as served:
                return served.signature("encode").inputs["image"].shape[1]
        except (ServingError, KeyError, IndexError):
            return None

    def _why_server(self, encoder: BrowserEncoder | None) -> str | None:
        """Why the page can't encode in the browser; None where it can."""
        if self.litert is None:
            return f"LiteRT.js is not installed here; {INSTALL} installs it"
        if encoder is None:
            return NO_FILE
        if encoder.content() is None:
            return f"{encoder.file} is not the file that its manifest describes; export again"
        try:
            with self._store.lease(TASK_HEAD, encoder.version):
                return None
        except ServingError:
            return (
                f"the .tflite file is of version {encoder.version}, whose task head is not being"
                " served"
            )


def attackers_commands(export: pathlib.Path | None) -> list[str]:
    """What makes attackers for the page and starts the server with them, for a shell."""
    run = export.parent if export and export.name == "export" else pathlib.Path("RUN")
    models, attackers = run / "export" / "saved_model", run / "export" / "demo_attacker"
    parts = [
        ["arl_tf.main", "--stages=attackers", f"--workdir={run}", "--reference=auto"],
        ["serving.local_server", f"--model_base_path={models}", f"--demo_attacker={attackers}"],
    ]
    return [shlex.join(["python", "-m", *each]) for each in parts]
