"""The demo page: a photo, its code, what the task head reads, what an attacker makes of it."""

import base64
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import starlette.requests
import starlette.responses
import starlette.routing
from PIL import Image

from serving.server import servable, validation
from serving.server.errors import invalid
from serving.server.predict import Caller, ModelSpec, Prediction, Predictor
from serving.server.rest_app import RestApi
from serving.server.servable import Servable
from serving.server.validation import Limits

ENCODER, TASK_HEAD = "encoder", "task_head"
ATTACKERS = ("protected", "unprotected_encoder", "unprotected")
FINDINGS = "attackers.json"
STATIC = pathlib.Path(__file__).parent / "static"
FILES = {
    "demo.css": "text/css",
    "demo.js": "text/javascript",
    "face.png": "image/png",
}
# Everything comes from this server; pictures are also made on the page.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The code's picture spans this many standard deviations to either side of its mean.
DEVIATIONS = 2.5


@dataclasses.dataclass(frozen=True)
class DemoAttacker:
    """Attackers for the page, each a SavedModel; None where the folder has none.

    Attributes:
        protected: the served encoder's code -> picture.
        unprotected_encoder: an unprotected encoder, exported as the served one.
        unprotected: the unprotected encoder's code -> picture.
        findings: what an audit says of them, from `read_findings`.
    """

    protected: Servable | None = None
    unprotected_encoder: Servable | None = None
    unprotected: Servable | None = None
    findings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if (self.unprotected is None) != (self.unprotected_encoder is None):
            raise ValueError(
                "--demo_attacker: unprotected and unprotected_encoder go together; the folder has"
                " only one of them."
            )


def load_attacker(folder: pathlib.Path) -> DemoAttacker:
    """Loads the SavedModels of a folder: as DemoAttacker's fields are named, or versions in them.

    serving_default of protected and unprotected takes one input, codes float32 [N, ...], and
    returns one output, pictures [N, h, w, 3]: uint8, or float32 in [0, 1].

    Raises:
        ValueError: the folder has none of them, they can't be loaded, or attackers.json is damaged.
    """
    found = {name: folder / name for name in ATTACKERS if (folder / name).is_dir()}
    if not found:
        raise ValueError(f"--demo_attacker={folder} holds none of {', '.join(ATTACKERS)}.")
    models = {name: servable.load(name, 1, latest_version(path)) for name, path in found.items()}
    return DemoAttacker(**models, findings=read_findings(folder / FINDINGS))


def pages(
    folder: pathlib.Path | None,
) -> Callable[[Predictor, RestApi], list[starlette.routing.BaseRoute]]:
    """The demo page for a server: its attackers are loaded from `folder` when the server starts.

    None: the page has no attackers.
    """

    def routes(predictor: Predictor, api: RestApi) -> list[starlette.routing.BaseRoute]:
        attacker = load_attacker(folder) if folder else DemoAttacker()
        return Demo(predictor, api, attacker).routes()

    return routes


def latest_version(folder: pathlib.Path) -> pathlib.Path:
    """The subfolder of the greatest number; the folder itself where it has none."""
    versions = [path for path in folder.iterdir() if path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=folder)


def read_findings(path: pathlib.Path) -> dict[str, Any]:
    """What attackers.json says for the page; empty where there is none.

    Returns:
        attackers: name -> words, face_similarity (a float; None where it was not measured);
        leakage: a share, or None.

    Raises:
        ValueError: it can't be read.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        attackers = {
            name: {
                "words": str(each["words"]),
                "face_similarity": value_of(each["face_similarity"]),
            }
            for name, each in content["attackers"].items()
        }
        return {"attackers": attackers, "leakage": value_of(content["leakage"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"--demo_attacker: {path} can't be read ({error!r}).") from error


def value_of(figure: Mapping[str, Any] | None) -> float | None:
    """A report's figure, {"value", "ci95"} or null, as a number."""
    return None if figure is None or figure["value"] is None else float(figure["value"])


class Demo:
    """The page, its files, and the one call that it makes."""

    def __init__(self, predictor: Predictor, api: RestApi, attacker: DemoAttacker):
        """`attacker`: for the reconstructions, as far as there are any."""
        self._predictor = predictor
        self._api = api
        self._attacker = attacker

    def routes(self) -> list[starlette.routing.BaseRoute]:
        """For a Starlette application."""
        return [
            starlette.routing.Route("/", self._page),
            starlette.routing.Route("/demo/explain", self._explain, methods=["POST"]),
            *(
                starlette.routing.Route(f"/demo/{name}", self._file(name, kind))
                for name, kind in FILES.items()
            ),
        ]

    async def _page(self, request: starlette.requests.Request) -> starlette.responses.Response:
        return starlette.responses.FileResponse(
            STATIC / "index.html", headers=HEADERS, media_type="text/html"
        )

    @staticmethod
    def _file(name: str, kind: str):
        async def answer(request: starlette.requests.Request) -> starlette.responses.Response:
            return starlette.responses.FileResponse(STATIC / name, headers=HEADERS, media_type=kind)

        return answer

    async def _explain(self, request: starlette.requests.Request) -> starlette.responses.Response:
        def answer(body: bytes, caller: Caller) -> starlette.responses.Response:
            return starlette.responses.JSONResponse(self.explain(body, caller), headers=HEADERS)

        return await self._api.with_body(request, answer)

    def explain(self, photo: bytes, caller: Caller) -> dict[str, Any]:
        """What the page shows of a photo. Nothing of it is kept.

        Args:
            photo: a JPEG, PNG, BMP, GIF or WebP file.
            caller: who waits.

        Returns:
            For JSON: code (picture, shape, bytes), attributes (name, probability), reconstructions
            (protected, unprotected), findings (see `read_findings`). Pictures are data URLs; what
            there is no attacker for is None.

        Raises:
            ServingError: the photo is no picture, or the models are not being served.
        """
        photos = {validation.IMAGE_INPUT: np.array([photo], object)}
        encoded = self._predict(ENCODER, None, "encode_bytes", photos, caller)
        (code,) = encoded.outputs.values()
        version = encoded.servable.version
        # A code is read by the task head of its encoder's version.
        read = self._predict(TASK_HEAD, version, "", {"code": code}, caller)
        probability = read.outputs["probability"][0]
        names = attribute_names(read.servable, len(probability))
        return {
            "code": {
                "picture": data_url(code_picture(code[0])),
                "shape": code.shape[1:],
                "bytes": code[0].nbytes,
            },
            "attributes": [
                {"name": name, "probability": round(float(value), 4)}
                for name, value in zip(names, probability, strict=True)
            ],
            "reconstructions": self._reconstruct(code, photos),
            "findings": self._attacker.findings,
        }

    def _predict(self, model, version, signature, inputs, caller) -> Prediction:
        spec = ModelSpec(model, version, signature_name=signature)
        return self._predictor.predict(spec, lambda _: inputs, caller=caller)

    def _reconstruct(self, code: np.ndarray, photos: dict[str, np.ndarray]) -> dict[str, Any]:
        attacker, limits = self._attacker, self._predictor.limits
        pictures = dict.fromkeys(("protected", "unprotected"))
        if attacker.protected is not None:
            pictures["protected"] = attack(attacker.protected, code, limits)
        if attacker.unprotected is not None:
            encode = attacker.unprotected_encoder.signature("encode_bytes")
            (unprotected_code,) = encode.run(photos).values()
            pictures["unprotected"] = attack(attacker.unprotected, unprotected_code, limits)
        return pictures


def attack(attacker: Servable, code: np.ndarray, limits: Limits) -> str:
    """An attacker's picture of the first code, as a data URL.

    Raises:
        ServingError: the attacker does not take such codes, or returns no picture.
    """
    signature = attacker.signature("")
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise invalid(f"--demo_attacker: {attacker.name} must have one input and one output.")
    inputs = dict.fromkeys(signature.inputs, code)
    validation.check_inputs(signature, inputs, limits)
    (picture,) = signature.run(inputs).values()
    if picture.ndim != 4 or picture.shape[3] != 3:
        raise invalid(f"--demo_attacker: {attacker.name} returns {picture.shape}, no picture.")
    if picture.dtype != np.uint8:
        picture = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return data_url(picture[0])


def attribute_names(task_head: Servable, count: int) -> list[str]:
    """The attributes' names, which the task head's SavedModel has as an asset; else numbers."""
    path = task_head.path / "assets" / "attributes.txt"
    names = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return names if len(names) == count else [f"attribute {index}" for index in range(count)]


def code_picture(code: np.ndarray) -> np.ndarray:
    """A code as uint8 [rows, columns]: its channels side by side, as square as they go.

    A code without a grid, [C], gets a pixel a channel.
    """
    grid = code if code.ndim == 3 else code.reshape(1, 1, -1)
    height, width, channels = grid.shape
    columns = next(
        n for n in range(math.isqrt(channels - 1) + 1, channels + 1) if channels % n == 0
    )
    tiles = grid.reshape(height, width, channels // columns, columns)
    wall = tiles.transpose(2, 0, 3, 1).reshape(height * channels // columns, width * columns)
    spread = DEVIATIONS * wall.std() or 1.0
    return np.round(127.5 + 127.5 * np.clip((wall - wall.mean()) / spread, -1, 1)).astype(np.uint8)


def data_url(picture: np.ndarray) -> str:
    """A picture, uint8 [h, w] or [h, w, 3], as the PNG in a data URL."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
