"""The development server as an object: both protocols over one store, from start to drain."""

import contextlib
import dataclasses
import pathlib
import socket
import threading
from collections.abc import Callable

import starlette.routing
import uvicorn
from absl import logging

from serving.server import batching, grpc_service, layout, model_config, model_store, servable
from serving.server.batching import BatchingParameters
from serving.server.model_store import Sources
from serving.server.predict import Predictor
from serving.server.prometheus import Metrics
from serving.server.rest import rest_app
from serving.server.rest.http_protocol import (
    MAX_HEAD_BYTES,
    Application,
    ConnectionLimit,
    TimedProtocol,
)
from serving.server.validation import Limits

# Connections beyond that are answered 503; slow clients hold a connection, never a thread.
MAX_CONNECTIONS = 128
DEFAULT_LIMITS = Limits()
Routes = list[starlette.routing.BaseRoute]
Pages = Callable[[Predictor, rest_app.RestApi], Routes]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a server is run.

    Attributes:
        model_base_path: holds a folder a model, each with version folders; or None.
        model_name: of the one model whose version folders model_base_path then holds; or None.
        model_config_file: a ModelServerConfig in text format, which goes before both; or None.
        allow_version_labels_for_unavailable_models: a label of the config that is new, or stays
            where it is, may name a version that is not served yet.
        host: address to listen at.
        port: for gRPC; 0 takes any that is free.
        rest_api_port: for REST; 0 takes any that is free.
        file_system_poll_wait_seconds: between two looks at the version folders.
        max_num_load_retries: of a version that can't be loaded.
        batching: how requests are merged.
        limits: of a request.
        rest_api_timeout: seconds for a REST request, from its first byte to its answer.
        grpc_timeout: seconds for a gRPC request, or its client's deadline, if that is sooner.
        rest_api_num_threads: REST requests worked on at once.
        rest_api_enable_cors_support: pages of other origins may call the REST API.
        enable_serialization_as_tensor_content: gRPC answers hold tensors as bytes.
        grpc_max_threads: gRPC requests worked on at once.
    """

    model_base_path: pathlib.Path | None = None
    model_name: str | None = None
    model_config_file: pathlib.Path | None = None
    allow_version_labels_for_unavailable_models: bool = False
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 8501
    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    batching: BatchingParameters = batching.NO_MERGING
    limits: Limits = DEFAULT_LIMITS
    rest_api_timeout: float = 30.0
    grpc_timeout: float = 60.0
    rest_api_num_threads: int = 8
    rest_api_enable_cors_support: bool = False
    enable_serialization_as_tensor_content: bool = False
    grpc_max_threads: int = 16

    def __post_init__(self):
        if self.model_base_path is None and self.model_config_file is None:
            raise ValueError("Give --model_base_path or --model_config_file, got neither.")
        for name in (
            "file_system_poll_wait_seconds",
            "rest_api_timeout",
            "grpc_timeout",
            "rest_api_num_threads",
            "grpc_max_threads",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}.")

    def source_reader(self) -> Callable[[], Sources]:
        """Reads, at each call, which models are wanted."""
        if self.model_config_file is not None:
            # As in TF Serving, whose image always names a model, too.
            if self.model_base_path is not None:
                logging.info("--model_base_path is ignored: there is --model_config_file.")
            return lambda: model_config.sources_in_file(self.model_config_file)
        if self.model_name:
            return lambda: model_config.source_of_model(self.model_name, self.model_base_path)
        return lambda: model_config.sources_in_folder(self.model_base_path)


def no_pages(predictor: Predictor, api: rest_app.RestApi) -> Routes:
    """No page but TF Serving's own paths."""
    return []


class LocalServer:
    """Serves models by TF Serving's protocol until it is stopped.

    Attributes:
        predictor: answers both protocols' requests.
        store: the models.
        port: where gRPC listens.
        rest_api_port: where REST listens.
    """

    def __init__(self, settings: Settings, pages: Pages = no_pages):
        """Loads the models and binds both ports.

        Args:
            settings: how the server is run.
            pages: routes that REST's port answers besides, such as the demo page's.

        Raises:
            OSError, ValueError: a port can't be bound; models or config can't be read.
            ServingError: the config's labels are refused.
        """
        self._settings = settings
        metrics = Metrics()
        with contextlib.ExitStack() as undo:
            self._socket = undo.enter_context(_listen(settings.host, settings.rest_api_port))
            self.rest_api_port = self._socket.getsockname()[1]
            self.store = model_store.ModelStore(
                settings.source_reader(),
                servable.load,
                max_load_retries=settings.max_num_load_retries,
                labels_for_unavailable=settings.allow_version_labels_for_unavailable_models,
            )
            self._batcher = batching.Batcher(
                settings.batching, metrics.batch, max_pixels=settings.limits.pixels
            )
            undo.callback(self._batcher.close)
            self.predictor = Predictor(self.store, self._batcher, settings.limits, metrics)
            self._grpc = grpc_service.GrpcServer(
                self.predictor,
                address=f"{bracketed(settings.host)}:{settings.port}",
                threads=settings.grpc_max_threads,
                timeout=settings.grpc_timeout,
                as_tensor_content=settings.enable_serialization_as_tensor_content,
            )
            self.port = self._grpc.port
            routes = self._routes(pages)
            self.store.poll(settled=True)
            undo.pop_all()
        if not self.store.names():
            self._warn_of_no_model()
        busy = self.predictor.busy
        application = ConnectionLimit(rest_app.application(routes), MAX_CONNECTIONS, busy.note)
        self._rest = uvicorn.Server(rest_config(application))
        application.connections = self._rest.server_state.connections
        self._rest_thread = threading.Thread(
            target=self._rest.run, args=([self._socket],), name="rest", daemon=True
        )

    def _warn_of_no_model(self) -> None:
        settings = self._settings
        # The store has looked at each model's folder, and said what is wrong with it.
        reason = "the lines above say why."
        is_folder_of_models = settings.model_config_file is None and not settings.model_name
        if is_folder_of_models and not layout.holds_versions(settings.model_base_path):
            reason = layout.no_models(settings.model_base_path)
        logging.warning("No model is being served yet: %s", reason)

    def _routes(self, pages: Pages) -> Routes:
        api = rest_app.RestApi(
            self.predictor,
            threads=self._settings.rest_api_num_threads,
            timeout=self._settings.rest_api_timeout,
            cors=self._settings.rest_api_enable_cors_support,
        )
        return [*api.routes(), *pages(self.predictor, api)]

    def start(self) -> None:
        """Answers from now on, and watches the version folders."""
        self._rest_thread.start()
        self._grpc.start()
        self.store.watch(self._settings.file_system_poll_wait_seconds)

    def stop(self, grace: float) -> None:
        """Takes no more requests, and returns when those under way are answered.

        Args:
            grace: seconds after which they are broken off.
        """
        wait_for_grpc = self._grpc.stop(grace)
        self._rest.config.timeout_graceful_shutdown = max(1, round(grace))
        self._rest.should_exit = True
        if self._rest_thread.is_alive():
            self._rest_thread.join()
        wait_for_grpc()
        self._batcher.close()
        self.store.close()
        self.predictor.busy.flush()
        self._socket.close()


def rest_config(application: Application) -> uvicorn.Config:
    """How REST's port is served."""
    return uvicorn.Config(
        application,
        http=TimedProtocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=None,
    )


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise OSError(f"REST can't listen at {host}:{port}: {error.strerror}") from error
    # Accepted connections inherit it. asyncio does not set it for a socket made like this one, and
    # a small answer in two writes would wait 40 ms for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
