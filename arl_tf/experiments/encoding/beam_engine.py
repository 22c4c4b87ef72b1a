"""Bulk encoding on Apache Beam (extra `beam`); all workers must see the same folders."""

import shlex
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from arl_tf.experiments.encoding import encoders, shards
from arl_tf.experiments.encoding.encoders import EncoderSpec
from arl_tf.experiments.encoding.shards import Target
from arl_tf.experiments.encoding.sources import Shard


class EncodeShard(beam.DoFn):
    """Encodes shards; a worker loads the encoder once."""

    def __init__(self, spec: EncoderSpec, target: Target):
        """Takes what a worker needs to find encoder and target."""
        self.spec, self.target = spec, target

    def setup(self):
        """Loads the encoder."""
        self.encoder = encoders.load(self.spec)

    def process(self, work: tuple[int, Shard]):
        """Yields how many photos a shard had. A shard that is given again is not encoded again."""
        number, shard = work
        if not self.target.codes(number).exists():
            yield shards.encode_shard(self.encoder, shard, number, self.target)


def run(spec: EncoderSpec, work: Sequence[tuple[int, Shard]], target: Target, options: str) -> None:
    """Runs the pipeline to its end.

    Args:
        spec: of the encoder.
        work: shards with their numbers.
        target: where codes go.
        options: of Beam, as on a command line.
    """
    with beam.Pipeline(options=PipelineOptions(shlex.split(options))) as pipeline:
        _ = (
            pipeline
            | "shards" >> beam.Create(list(work))
            | "spread" >> beam.Reshuffle()
            | "encode" >> beam.ParDo(EncodeShard(spec, target))
        )
