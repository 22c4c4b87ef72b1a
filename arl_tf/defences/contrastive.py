"""TIPRDC: codes whose neighbours in the batch do not share private attributes."""

import tensorflow as tf

from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.defences.distances import squared_distances

# No probability is below it: a batch without any neighbour of the kind has no finite logarithm.
LEAST = 1e-6


def neighbours(codes: tf.Tensor) -> tf.Tensor:
    """Weights of a batch's other rows for each row: soft nearest neighbours.

    The softmax of minus the squared distances, in units of their deviation over the batch
    (neighbourhood components, Goldberger et al. 2004, formula 1, whose scale is learned).

    Args:
        codes: float32 [B, ...].

    Returns:
        float32 [B, B], rows of sum 1, 0 on the diagonal.
    """
    squared = squared_distances(codes)
    itself = tf.eye(tf.shape(squared)[0])
    others = tf.boolean_mask(squared, itself == 0)
    scaled = squared / (tf.math.reduce_std(others) + LEAST)
    return tf.nn.softmax(-scaled - 1e9 * itself, axis=1)


def neighbour_information(codes: tf.Tensor, private: tf.Tensor) -> tf.Tensor:
    """What a code's neighbours tell of its private attributes, in nats an attribute.

    The entropy of an attribute in the batch less the cross-entropy of its guess, which is the
    weighted share of the neighbours that have it; a mean over attributes. At least 0.

    Args:
        codes: float32 [B, ...].
        private: float32 [B, P] in {0, 1}.

    Returns:
        Scalar in [0, log 2].
    """
    guess = tf.clip_by_value(tf.matmul(neighbours(codes), private), LEAST, 1 - LEAST)
    share = tf.clip_by_value(tf.reduce_mean(private, axis=0), LEAST, 1 - LEAST)
    told, known = (cross_entropy(private, each) for each in (guess, share))
    return tf.reduce_mean(tf.nn.relu(known - told))


def cross_entropy(labels: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy in nats of each attribute, a mean over the batch; float32 [P]."""
    losses = labels * tf.math.log(probability) + (1 - labels) * tf.math.log(1 - probability)
    return -tf.reduce_mean(losses, axis=0)


def loss(step: Step, bound: float) -> tf.Tensor:
    """The information that neighbours tell of --private_attributes; a scalar in [0, log 2], nats.

    The hybrid training of TIPRDC (Li et al., KDD 2020, arXiv 2005.11480) has two parts: an
    adversarial classifier of the private attribute, and an estimator of mutual information that
    keeps the rest, by raising that of image and code given the attribute. Ours differs in both: the
    classifier is that of the batch's neighbours, which compares pairs and has no weights, and the
    rest is kept by the task alone, which is known here.
    """
    del bound
    return neighbour_information(step.codes, step.private)


CONTRASTIVE = Defence(
    "After TIPRDC (Li et al., KDD 2020, arXiv 2005.11480)",
    Number("Weight of the information on private attributes, in nats.", 1.0, 1e-6),
    loss=loss,
    private=True,
)
