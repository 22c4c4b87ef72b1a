"""Counts and times of requests, in Prometheus' text format."""

import prometheus_client

PATH = "/monitoring/prometheus/metrics"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


class Metrics:
    """One server's metrics; servers in one process don't share them."""

    def __init__(self):
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "serving_requests",
            "Requests answered, by model, protocol (grpc, rest), method and gRPC's status code.",
            ("model", "protocol", "method", "code"),
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "serving_request_seconds",
            "From a request's arrival to its answer.",
            ("protocol", "method"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batch_items = prometheus_client.Histogram(
            "serving_batch_items",
            "Items in a batch as it was run.",
            buckets=ITEMS,
            registry=self._registry,
        )

    def request(self, model: str, protocol: str, method: str, code: str, seconds: float) -> None:
        """Counts an answered request.

        Args:
            model: a model that is served, or "": clients must not be able to invent labels.
            protocol: "grpc" or "rest".
            method: such as "Predict".
            code: name of gRPC's status code, such as "OK".
            seconds: it took.
        """
        self._requests.labels(model, protocol, method, code).inc()
        self._seconds.labels(protocol, method).observe(seconds)

    def batch(self, items: int) -> None:
        """Counts a batch that is about to run."""
        self._batch_items.observe(items)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)
