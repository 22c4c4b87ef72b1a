"""Trains an encoder whose codes resist inversion, attacks the codes, reports, and exports it.

    python -m arl_tf.main --flagfile=configs/NAME.cfg [--flag=value ...]

configs/demo.cfg needs no data. The last value of a flag wins: put your own after --flagfile.
"""

import os
import pathlib
import sys
from logging import WARNING
from typing import NoReturn

# Before TensorFlow is imported: its start-up notes would bury ours. Set the variable to see them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Plots go to files; a notebook's back end that this process inherits may not be installed.
os.environ["MPLBACKEND"] = "agg"

from arl_tf.utils import interruption

# As `python -m arl_tf.main`, or as the command that pip installs.
if __name__ == "__main__" or pathlib.Path(sys.argv[0]).stem == "arl_tf":
    interruption.at_once("arl_tf")

from absl import app, flags, logging

from arl_tf.config import choices, flag_definitions, flagfiles, idle, inheritance, usage
from arl_tf.config import settings as settings
from arl_tf.experiments import run_directory
from arl_tf.experiments.doctor import doctor
from arl_tf.utils import passwords, run_files, streams

# TensorFlow's errors of memory, disks and files; others are ours to mend.
OF_TENSORFLOW = (
    "DataLossError",
    "NotFoundError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
)
# Exit code of everything that the user can mend.
USAGE_ERROR = 2


def main(argv: list[str]) -> None:
    """Runs the stages that --stages names, on --workdir."""
    if len(argv) > 1:
        refuse(usage.stray_argument(argv[1]))
    show_only_our_notes()
    try:
        given = flag_definitions.given_flags(flags.FLAGS)
        flag_definitions.check_given(given)
        run = run_directory.RunDirectory(
            pathlib.Path(given.get("workdir", settings.Config.workdir))
        )
        named = tuple(given)
        given = {**recorded_codes_settings(given), **inherited_settings(run, given), **given}
        config = settings.from_mapping(given)
        idle.check(config, named, idle.typed_names(sys.argv[1:]))
        if config.stage_names == ("doctor",):
            doctor.run(config)
            return
        # Imported late: wrong flags are answered in a second, not after TensorFlow's start.
        import matplotlib

        from arl_tf.experiments import stages

        # The plots are the program's own, whatever the user's matplotlibrc says.
        matplotlib.rcdefaults()
        stages.run_stages(config, run)
    except Exception as error:
        message = mendable(error)
        if message is None or interruption.came():
            raise
        logging.debug("Where it came from:", exc_info=True)
        refuse(message)


def mendable(error: Exception) -> str | None:
    """What is said of an error that the user can mend; None for others, whose traceback is needed.

    TensorFlow, whose errors are of no usual kind, has not always been imported.
    """
    if isinstance(error, BrokenPipeError) and streams.is_unread():
        return None
    if isinstance(error, MemoryError):
        return f"There is too little memory: {str(error) or 'none could be had'}."
    if isinstance(error, ValueError | RuntimeError | OSError):
        return str(error)
    if type(error).__name__ in OF_TENSORFLOW and hasattr(error, "node_def"):
        return f"TensorFlow says: {run_files.one_line(error)}."
    return None


def refuse(message: object) -> NoReturn:
    """Says what the user can mend, and ends the process."""
    print(f"\narl_tf: {passwords.hidden(str(message))}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


def parse(argv: list[str]) -> list[str]:
    """Reads the command line and its flag files; answers --help, --version and what is wrong.

    Returns:
        The program and the arguments that are no flags.
    """
    try:
        answer(usage.asked_for(argv[1:]))
        arguments, notes = flagfiles.expand(argv[1:])
        for note in notes:
            print(f"arl_tf: {passwords.hidden(note)}", file=sys.stderr)
        return flags.FLAGS([argv[0], *arguments])
    except flags.Error as error:
        refuse(usage.parsing_error(error, flags.FLAGS))
    except ValueError as error:
        refuse(error)


def answer(asked: str | None) -> None:
    """Prints the help or the version that the command line asks for, and ends the process."""
    if asked is None:
        return
    if asked == "helpxml":
        flags.FLAGS.write_help_in_xml_format(sys.stdout)
    elif asked == "helpfull":
        print(usage.full_help_text(flags.FLAGS))
    else:
        print(usage.help_text() if asked == "help" else usage.version_text())
    sys.exit()


def show_only_our_notes() -> None:
    """Logs arl_tf's notes and everybody's warnings.

    TensorFlow logs through absl, too, and would bury them.
    """
    package = str(pathlib.Path(__file__).parent)

    def is_wanted(record) -> bool:
        # The retracing warning counts every new model's first call, of which an audit has a dozen.
        harmless = record.filename == "polymorphic_function.py"
        return record.pathname.startswith(package) or (record.levelno >= WARNING and not harmless)

    handler = logging.get_absl_handler()
    handler.addFilter(is_wanted)
    # It took the stream when it was imported; one that was closed is opened by now.
    handler.python_handler.stream = handler.python_handler.stream or sys.stderr


def inherited_settings(run: run_directory.RunDirectory, given: dict) -> dict:
    """What an earlier run of this directory used.

    So `--stages=audit --workdir=DIR` needs no flagfile. A new training with --overwrite inherits
    nothing.
    """
    stages = given.get("stages", settings.Config.stages)
    if given.get("overwrite", False) and "train" in stages:
        return {}
    return inheritance.inherited(
        run_directory.recorded_settings(run), run_directory.finished_stages(run), given
    )


def recorded_codes_settings(given: dict) -> dict:
    """Settings that --codes=FILE has where the command line does not say otherwise."""
    if not given.get("codes"):
        return {}
    from arl_tf.auditing.encoders import external

    side = external.codes_image_size(pathlib.Path(given["codes"]))
    return {**choices.FOR_RECORDED_CODES, **({"image_size": side} if side else {})}


def console() -> None:
    """Entry point of the command `arl_tf`."""
    flag_definitions.define_flags(flags.FLAGS)
    flags.FLAGS.set_default("verbosity", logging.INFO)
    # With --overwrite, too: stages say so as soon as what they replace is gone.
    with interruption.in_one_line("arl_tf", "the same command goes on from here."):
        app.run(main, flags_parser=parse)


if __name__ == "__main__":
    console()
