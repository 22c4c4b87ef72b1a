"""Command line: python -m arl_tf.main --flagfile=configs/NAME.cfg [--flag=value ...]. The only reader of FLAGS."""

import dataclasses
import pathlib
import sys

from absl import app, flags, logging

from arl_tf import config as settings
from arl_tf import runs
from arl_tf.config import Config

USAGE_ERROR = 2


def main(argv: list[str]) -> None:
    """Runs the stages that --stages names, on --workdir."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}: every setting is a --flag=value.")
    logging.set_verbosity(logging.INFO)
    try:
        config = settled_config(settings.given_flags(flags.FLAGS))
        run_stages(config)
    except ValueError as error:
        if logging.level_debug():
            raise
        print(f"arl_tf: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def settled_config(given):
    return settings.from_mapping(given)


def run_stages(config: Config) -> None:
    import keras
    import tensorflow as tf
    from arl_tf import data, splits as sp, train
    if config.threads:
        tf.config.threading.set_intra_op_parallelism_threads(config.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    run = runs.RunDirectory(pathlib.Path(config.workdir))
    images = data.load_images(config, pathlib.Path(config.cache_dir or run.root / "cache"))
    s = sp.split_by_identity(images.identities, config)
    runs.write_json(run.splits, sp.describe_splits(s, images))
    runs.write_config(run, config)
    train.train(config, run, images, s)


if __name__ == "__main__":
    settings.define_flags(flags.FLAGS)
    app.run(main)
