"""Takes a point of the queue in the folder that is named, says which, and is killed on it.

A second argument is the URL of the queue's database.
"""

import os
import pathlib
import signal
import sys

from arl_tf.experiments.sweeps.trial_queue import TrialQueue

if __name__ == "__main__":
    claim = TrialQueue(pathlib.Path(sys.argv[1]), "points", 1, *sys.argv[2:3]).claim()
    print(claim.point.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
