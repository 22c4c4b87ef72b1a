"""A perceptron from codes to embeddings, trained through fresh noise where the noise is known."""

import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.identity.faces import (
    IdentityResult,
    PublicFaces,
    knowledge_of,
    known,
    mean_cosine,
    unit,
)
from arl_tf.attacks.identity.ridge import best_ridges
from arl_tf.attacks.knowledge import KNEW
from arl_tf.attacks.regression.code_view import CodeView

MOST_DIRECTIONS = 512
HIDDEN, DROPOUT = 512, 0.5
EPOCHS, PATIENCE, BATCH = 60, 6, 64
# Of `CodeView.level`: a direction without variance is not divided by 0.
LEAST_SHARE = 1e-9
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 1e-2


def perceptron(
    view: CodeView, evidence: Evidence, faces: PublicFaces, settings: AttackerOptions
) -> IdentityResult:
    """A perceptron with one hidden layer from codes to directions of embeddings.

    It begins as the ridge regression and maximises the mean cosine, for all networks together. Each
    direction of the codes is weighed by its share of signal, and each step draws the noise anew
    where it is known. The epoch with the best mean cosine on held-out public images counts; before
    the first it is the ridge regression along the directions taken.

    Args:
        view: the codes.
        evidence: says what the attacker knows.
        faces: embeddings of the public images.
        settings: seed.
    """
    started = time.perf_counter()
    fitted = best_ridges(view, faces)
    kept, gain = direction_gains(view, float(np.mean([each.penalty for each in fitted.values()])))
    truth = [faces.held_out[network] for network in faces.networks]
    wanted = [faces.public[network][view.rows] for network in faces.networks]
    linear = [(each.weights[kept] / gain[:, None], each.mean) for each in fitted.values()]
    model = build(linear, settings.seed)
    held_out, target = (codes[:, kept] * gain for codes in (view.held_out, view.target))
    noise = np.float32(np.sqrt(view.lacking)) * gain
    epochs = train(model, view.public[:, kept] * gain, wanted, noise, held_out, truth, settings)
    return IdentityResult(
        name="mlp",
        knowledge=knowledge_of(evidence),
        settings={
            "words": "a perceptron from the code to the embedding",
            "seed": settings.seed,
            "public_images": len(view.rows),
            "epochs": epochs,
            KNEW: known(evidence),
        },
        seconds=time.perf_counter() - started,
        held_out=dict(zip(faces.networks, predict(model, held_out), strict=True)),
        target=dict(zip(faces.networks, predict(model, target), strict=True)),
    )


def direction_gains(view: CodeView, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """The directions taken, int64 [R'], and what each is multiplied by, float32 [R'].

    A code then varies along each direction by the direction's share of signal, the ridge
    regression's penalty taken for noise; with a deviation of 1 along the clearest.
    """
    kept = np.argsort(view.variances)[::-1][:MOST_DIRECTIONS]
    variances = np.maximum(view.variances[kept], LEAST_SHARE * view.level)
    gain = np.sqrt(variances) / (variances + penalty * view.level)
    deviation = gain * np.sqrt(variances + view.noise)
    return kept, (gain / deviation.max()).astype(np.float32)


def build(linear: list[tuple[np.ndarray, np.ndarray]], seed: int) -> keras.Model:
    """Code [B, R'] -> a list of embeddings [B, E], one a network: linear plus hidden.

    Args:
        linear: kernel float32 [R', E] and bias [E] that each network's linear part begins with; the
            hidden part begins at 0.
        seed: draws the hidden layer's weights.
    """
    code = keras.Input((len(linear[0][0]),), name="code")
    kernel = keras.initializers.GlorotUniform(seed)
    hidden = layers.Dense(HIDDEN, "silu", kernel_initializer=kernel, name="hidden")(code)
    hidden = layers.Dropout(DROPOUT, seed=seed, name="dropout")(hidden)
    embeddings, straight = [], []
    for number, (_, bias) in enumerate(linear):
        straight.append(layers.Dense(len(bias), name=f"linear{number}"))
        curved = layers.Dense(
            len(bias), use_bias=False, kernel_initializer="zeros", name=f"curved{number}"
        )
        add = layers.Add(name=f"embedding{number}")
        embeddings.append(add([straight[-1](code), curved(hidden)]))
    for layer, weights in zip(straight, linear, strict=True):
        layer.set_weights(list(weights))
    return keras.Model(code, embeddings, name="identity_perceptron")


def train(
    model: keras.Model,
    codes: np.ndarray,
    wanted: list[np.ndarray],
    noise: np.ndarray,
    held_out: np.ndarray,
    truth: list[np.ndarray],
    settings: AttackerOptions,
) -> int:
    """Trains until the held-out cosine has not grown for PATIENCE epochs; the best epoch's number.

    The model is left as it was after that epoch.

    Args:
        model: from `build`.
        codes: float32 [N, R'], of the public images.
        wanted: float32 [N, E] for each network, directions of the public images.
        noise: float32 [R'], deviation of the noise that each step adds to the codes.
        held_out: float32 [H, R'].
        truth: float32 [H, E] for each network.
        settings: seed, and a bound on the steps.
    """
    rng = np.random.default_rng(settings.seed)
    step = training_step(model, noise, settings.seed)
    epochs = max(1, min(EPOCHS, settings.steps * settings.batch_size // max(1, len(codes))))
    best, weights, number = held_out_cosine(model, held_out, truth), model.get_weights(), 0
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(codes))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            step(tf.constant(codes[rows]), [tf.constant(each[rows]) for each in wanted])
        cosine = held_out_cosine(model, held_out, truth)
        if cosine > best:
            best, weights, number = cosine, model.get_weights(), epoch
        if epoch - number >= PATIENCE:
            break
    model.set_weights(weights)
    return number


def held_out_cosine(model: keras.Model, codes: np.ndarray, truth: list[np.ndarray]) -> float:
    """The mean cosine over networks and held-out images, in [-1, 1].

    Codes float32 [H, R'], truth float32 [H, E] for each network.
    """
    return float(np.mean([*map(mean_cosine, predict(model, codes), truth)]))


def training_step(model: keras.Model, noise: np.ndarray, seed: int):
    """A function (codes, directions) that takes one step of AdamW up the mean cosine.

    Codes float32 [B, R'], directions float32 [B, E] for each network; `noise` float32 [R'] is the
    deviation of the noise that is added to the codes.
    """
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    optimizer.build(model.trainable_variables)
    deviation = tf.constant(noise.astype(np.float32))
    generator = tf.random.Generator.from_seed(seed)

    @tf.function(autograph=False, reduce_retracing=True)
    def step(codes: tf.Tensor, wanted: list[tf.Tensor]) -> None:
        noisy = codes + deviation * generator.normal(tf.shape(codes))
        with tf.GradientTape() as tape:
            predicted = model(noisy, training=True)
            loss = 0.0
            for one, truth in zip(listed(predicted), wanted, strict=True):
                loss -= ops.mean(ops.sum(ops.normalize(one, axis=1) * truth, axis=1))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    return step


def predict(model: keras.Model, codes: np.ndarray) -> list[np.ndarray]:
    """Predicted directions of codes [n, R'], float32 [n, E] for each network."""
    return [unit(np.asarray(each)) for each in listed(model(tf.constant(codes), training=False))]


def listed(outputs) -> list:
    """A model's outputs as a list, also where there is one."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
