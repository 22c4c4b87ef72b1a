"""The demo page: a photo, its code, what the task head reads, what an attacker makes of it.

The page encodes the photo in the browser, where that can be done, and sends the code alone.
"""

import base64
import functools
import hashlib
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import starlette.requests
import starlette.responses
import starlette.routing

from serving.server import validation
from serving.server.errors import invalid
from serving.server.predict import Caller, ModelSpec, Prediction, Predictor
from serving.server.rest import rest_paths
from serving.server.rest.rest_app import RestApi
from serving.server.signature import Signature
from serving.web import browser_files
from serving.web.answers import task_answers, task_output
from serving.web.attackers import DemoAttacker, attack, load_attacker
from serving.web.facts import PageFacts
from serving.web.pictures import code_picture, data_url

ENCODER, TASK_HEAD = "encoder", "task_head"
STATIC = pathlib.Path(__file__).parent / "static"
FILES = {
    "demo.css": "text/css",
    "audit.js": "text/javascript",
    "demo.js": "text/javascript",
    "encoder.js": "text/javascript",
    "kinds.js": "text/javascript",
    "noise.js": "text/javascript",
    "picture.js": "text/javascript",
    "face.png": "image/png",
}
# Everything comes from this server; pictures are also made on the page. {} is for scripts.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{}; style-src 'self';"
    " img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY.format(""),
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Packages lie at an address of their version: 10 MB need not come twice.
OF_PACKAGES = {**HEADERS, "Cache-Control": "private, max-age=31536000, immutable"}
IMPORT_MAP = "<!-- import map -->"
Routes = list[starlette.routing.BaseRoute]
Request, Response = starlette.requests.Request, starlette.responses.Response


def pages(
    attackers: pathlib.Path | None,
    encoder: pathlib.Path | None = None,
    packages: pathlib.Path = browser_files.PACKAGES,
) -> Callable[[Predictor, RestApi], Routes]:
    """The demo page for a server; what it needs is loaded when the server starts.

    Args:
        attackers: folder of `load_attacker`; None: the page has no attackers.
        encoder: the TFLite file that browsers run; None: the one beside the served encoder.
        packages: the installed node_modules/@litertjs.

    Raises:
        ValueError: by the function that is returned: an attacker or the file can't be used.
    """

    def routes(predictor: Predictor, api: RestApi) -> Routes:
        if encoder is not None and browser_files.encoder_in(encoder) is None:
            raise ValueError(
                f"--demo_encoder={encoder}: expected an exported encoder_*.tflite with its"
                " manifest.json in the same folder or one above."
            )
        attacker = load_attacker(attackers) if attackers else DemoAttacker()
        litert = browser_files.find_litert(packages)
        facts = PageFacts(predictor.store, attacker, litert=litert, given=encoder)
        return Demo(predictor, api, facts).routes()

    return routes


class Demo:
    """The page, its files, and the calls that it makes."""

    def __init__(self, predictor: Predictor, api: RestApi, facts: PageFacts):
        """Takes what answers the page's questions, what reads their bodies, and what it is told."""
        self._predictor = predictor
        self._api = api
        self._facts = facts

    def routes(self) -> Routes:
        """For a Starlette application."""
        get = starlette.routing.Route
        post = functools.partial(get, methods=["POST"])
        return [
            get("/", self._page),
            get("/demo/facts", self._tell),
            get("/demo/encoder.tflite", self._encoder_file),
            get("/demo/unprotected.tflite", self._unprotected_file),
            get("/demo/litert/{version}/{path:path}", self._package_file),
            post("/demo/read", self._read),
            post("/demo/explain", self._explain),
            *(get(f"/demo/{name}", static_file(name, kind)) for name, kind in FILES.items()),
        ]

    async def _page(self, request: Request) -> Response:
        page = (STATIC / "index.html").read_text(encoding="utf-8")
        headers = HEADERS
        if self._facts.litert is not None:
            content = self._facts.litert.import_map()
            page = page.replace(IMPORT_MAP, f'<script type="importmap">{content}</script>')
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            policy = POLICY.format(f" 'sha256-{digest}'")
            headers = {**HEADERS, "Content-Security-Policy": policy}
        return starlette.responses.HTMLResponse(page, headers=headers)

    async def _tell(self, request: Request) -> Response:
        return starlette.responses.JSONResponse(self._facts.tell(), headers=HEADERS)

    async def _encoder_file(self, request: Request) -> Response:
        encoder = self._facts.encoder()
        content = encoder and encoder.content()
        if content is None:
            return file_or_404(None, None, HEADERS)
        version = request.query_params.get("version", "")
        if version != str(encoder.version):
            words = (
                f"The encoder is of version {encoder.version} by now; version {version!r} was"
                " asked for. Load the page again."
            )
            return starlette.responses.JSONResponse({"error": words}, 409, headers=HEADERS)
        return Response(content, headers=HEADERS, media_type="application/octet-stream")

    async def _unprotected_file(self, request: Request) -> Response:
        return file_or_404(
            self._facts.attacker.unprotected_file, "application/octet-stream", HEADERS
        )

    async def _package_file(self, request: Request) -> Response:
        litert, path = self._facts.litert, request.path_params["path"]
        is_current = litert is not None and request.path_params["version"] == litert.version
        file = litert.files.get(path) if is_current else None
        kind = file and browser_files.KINDS[file.suffix]
        return file_or_404(file, kind, OF_PACKAGES)

    async def _read(self, request: Request) -> Response:
        version = request.query_params.get("version", "")

        def answer(body: bytes, caller: Caller) -> Response:
            return starlette.responses.JSONResponse(
                self.read(body, version, caller), headers=HEADERS
            )

        return await self._api.with_body(request, answer)

    async def _explain(self, request: Request) -> Response:
        def answer(body: bytes, caller: Caller) -> Response:
            return starlette.responses.JSONResponse(self.explain(body, caller), headers=HEADERS)

        return await self._api.with_body(request, answer)

    def read(self, body: bytes, version: str, caller: Caller) -> dict[str, Any]:
        """What the page shows of a code that it sent. Nothing of it is kept.

        Args:
            body: the code, float32 in little-endian order, row-major; nothing else.
            version: of the task head that reads it.
            caller: who waits.

        Returns:
            As `explain`, but for reconstructions.unprotected: that code does not leave the browser.

        Raises:
            ServingError: it is no code of this task head, or that is not being served.
        """
        if not (version.isascii() and version.isdecimal()):
            raise invalid(f"version is {version!r}; expected the number of a served version.")
        decode = functools.partial(code_inputs, body)
        read = self._predict(TASK_HEAD, rest_paths.version_of(version), "", decode, caller)
        (code,) = decode(read.signature).values()
        return self._found(code, read)

    def explain(self, photo: bytes, caller: Caller) -> dict[str, Any]:
        """What the page shows of a photo that it could not encode itself. Nothing of it is kept.

        Args:
            photo: a JPEG, PNG, BMP, GIF or WebP file.
            caller: who waits.

        Returns:
            For JSON: code (picture, shape, bytes), task_kind, attributes (name,
            probability, decision; or name, value), reconstructions
            (protected, unprotected, task_output). Pictures are data URLs; what there is no attacker
            for is None.

        Raises:
            ServingError: the photo is no picture, or the models are not being served.
        """
        photos = {validation.IMAGE_INPUT: np.array([photo], object)}
        encoded = self._predict(ENCODER, None, "encode_bytes", lambda _: photos, caller)
        (code,) = encoded.outputs.values()
        # A code is read by the task head of its encoder's version.
        version = encoded.servable.version
        read = self._predict(TASK_HEAD, version, "", lambda _: {"code": code}, caller)
        found = self._found(code, read)
        attacker = self._facts.attacker
        if attacker.unprotected is not None:
            encode = attacker.unprotected_encoder.signature("encode_bytes")
            (unprotected,) = encode.run(photos).values()
            picture = attack(attacker.unprotected, unprotected, self._predictor.limits)
            found["reconstructions"]["unprotected"] = picture
        return found

    def _predict(self, model, version, signature, read_inputs, caller) -> Prediction:
        spec = ModelSpec(model, version, signature_name=signature)
        return self._predictor.predict(spec, read_inputs, caller=caller)

    def _found(self, code: np.ndarray, read: Prediction) -> dict[str, Any]:
        kind, answers = task_answers(read)
        attacker, limits = self._facts.attacker, self._predictor.limits
        pictures = dict.fromkeys(("protected", "unprotected", "task_output"))
        if attacker.protected is not None:
            pictures["protected"] = attack(attacker.protected, code, limits)
        if attacker.task_output is not None:
            pictures["task_output"] = attack(attacker.task_output, task_output(read), limits)
        return {
            "code": {
                "picture": data_url(code_picture(code[0])),
                "shape": code.shape[1:],
                "bytes": code[0].nbytes,
            },
            "task_kind": kind,
            "attributes": answers,
            "reconstructions": pictures,
        }


def static_file(name: str, kind: str):
    """Answers with one of the page's own files."""

    async def answer(request: Request) -> Response:
        return starlette.responses.FileResponse(STATIC / name, headers=HEADERS, media_type=kind)

    return answer


def file_or_404(
    file: pathlib.Path | None, kind: str | None, headers: Mapping[str, str]
) -> Response:
    """A file's content, or 404 for None."""
    if file is None:
        return starlette.responses.JSONResponse({"error": "There is no such file."}, 404)
    return starlette.responses.FileResponse(file, headers=headers, media_type=kind)


def code_inputs(body: bytes, signature: Signature) -> dict[str, np.ndarray]:
    """A body of float32 values as the one code [1, ...] that a task head takes.

    Raises:
        ServingError: it has another length, or the task head other inputs.
    """
    if list(signature.inputs) != ["code"]:
        raise invalid(f"The task head takes {sorted(signature.inputs)}; expected code alone.")
    shape = tuple(signature.inputs["code"].shape[1:])
    expected = 4 * math.prod(shape)
    if len(body) != expected:
        raise invalid(
            f"The body has {len(body)} bytes; expected float32 {list(shape)}, {expected} bytes."
        )
    return {"code": np.frombuffer(body, "<f4").astype(np.float32).reshape(1, *shape)}
