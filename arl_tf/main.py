"""Trains a face encoder whose codes resist inversion, attacks it afresh, reports, and exports it.

    python -m arl_tf.main --flagfile=configs/NAME.cfg [--flag=value ...]

configs/demo.cfg needs no data. The last value of a flag wins: put your own after --flagfile.
"""

import os
import pathlib
import sys
from logging import WARNING

# Before TensorFlow is imported: its start-up notes would bury ours. Set the variable to see them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

from arl_tf.config import settings as settings
from arl_tf.experiments import run_directory

# Exit code of everything that the user can mend.
USAGE_ERROR = 2


def main(argv: list[str]) -> None:
    """Runs the stages that --stages names, on --workdir."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}: every setting is a --flag=value.")
    show_only_our_notes()
    try:
        given = settings.given_flags(flags.FLAGS)
        settings.check_given(given)
        run = run_directory.RunDirectory(
            pathlib.Path(given.get("workdir", settings.Config.workdir))
        )
        given = {**recorded_codes_settings(given), **inherited_settings(run, given), **given}
        config = settings.from_mapping(given)
        # Imported late: wrong flags are answered in a second, not after TensorFlow's start.
        from arl_tf.experiments import stages

        stages.run_stages(config, run)
    except (ValueError, RuntimeError, OSError) as error:
        logging.debug("Where it came from:", exc_info=True)
        print(f"\narl_tf: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def show_only_our_notes() -> None:
    """Logs arl_tf's notes and everybody's warnings.

    TensorFlow logs through absl, too, and would bury them.
    """
    package = str(pathlib.Path(__file__).parent)

    def is_wanted(record) -> bool:
        # The retracing warning counts every new model's first call, of which an audit has a dozen.
        harmless = record.filename == "polymorphic_function.py"
        return record.pathname.startswith(package) or (record.levelno >= WARNING and not harmless)

    logging.get_absl_handler().addFilter(is_wanted)


def inherited_settings(run: run_directory.RunDirectory, given: dict) -> dict:
    """What an earlier run of this directory used.

    So `--stages=audit --workdir=DIR` needs no flagfile. A new training with --overwrite inherits
    nothing.
    """
    stages = given.get("stages", settings.Config.stages)
    if given.get("overwrite", False) and "train" in stages:
        return {}
    return settings.inherited(
        run_directory.recorded_settings(run), run_directory.finished_stages(run), given
    )


def recorded_codes_settings(given: dict) -> dict:
    """Settings that --codes=FILE has where the command line does not say otherwise."""
    if not given.get("codes"):
        return {}
    from arl_tf.auditing.encoders import external

    side = external.codes_image_size(pathlib.Path(given["codes"]))
    return {**settings.FOR_RECORDED_CODES, **({"image_size": side} if side else {})}


def console() -> None:
    """Entry point of the command `arl_tf`."""
    settings.define_flags(flags.FLAGS)
    flags.FLAGS.set_default("verbosity", logging.INFO)
    app.run(main)


if __name__ == "__main__":
    console()
