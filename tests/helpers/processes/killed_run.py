"""The command line, which kills itself, as `kill -9` would, in the middle of the second epoch."""

import os
import signal

from arl_tf import main
from arl_tf.training import callbacks


def die(self, batch, logs=None):
    if self.epoch == 1 and batch == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def remember(self, epoch, logs=None):
    self.epoch = epoch


if __name__ == "__main__":
    callbacks.StopOnDivergence.on_epoch_begin = remember
    callbacks.StopOnDivergence.on_train_batch_end = die
    main.console()
