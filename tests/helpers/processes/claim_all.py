"""Takes and finishes points of a queue (its folder, its database's URL) until none is left."""

import pathlib
import sys

from arl_tf.experiments.sweeps.trial_queue import TrialQueue

if __name__ == "__main__":
    queue = TrialQueue(pathlib.Path(sys.argv[1]), "points", 1, sys.argv[2])
    while claim := queue.claim():
        print(claim.point.name, flush=True)
        queue.finish(claim, {"state": "finished", "message": ""}, (0.5, 0.2))
