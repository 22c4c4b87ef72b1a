"""What a defence is: layers of the encoder, a term of its loss, or both."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

# Names of a defence's layers begin so; warm starts know them by it.
LAYER_PREFIX = "defence_"
# A bench looks for a number's best value within this factor of its default.
SEARCHED = 30.0


@dataclasses.dataclass(frozen=True)
class Number:
    """One number that a defence takes.

    Attributes:
        words: what it is, and its unit.
        default: its value where none is given.
        low: least value, > 0.
        high: greatest value.
        searched: the weakest and the strongest value that a bench tries; None: SEARCHED times
            less and more than the default, within low and high.
        whole: whether it is a whole number.
    """

    words: str
    default: float
    low: float
    high: float = math.inf
    searched: tuple[float, float] | None = None
    whole: bool = False

    @property
    def search_range(self) -> tuple[float, float]:
        """The weakest and the strongest value that a bench tries."""
        around = (self.default / SEARCHED, self.default * SEARCHED)
        return self.searched or (max(self.low, around[0]), min(self.high, around[1]))


@dataclasses.dataclass(frozen=True)
class Choice:
    """A defence with its numbers, as `registry.choice_of` resolves them.

    Attributes:
        name: a key of `registry.DEFENCES`.
        strength: its first number.
        bound: its second number; 0 where it has none.
    """

    name: str
    strength: float
    bound: float = 0.0


@dataclasses.dataclass(frozen=True)
class Step:
    """What a defence sees of one step of the encoder.

    Attributes:
        images: private images, float32 [B, S, S, 3] in [0, 1].
        codes: float32 [B, ...], as they leave the encoder.
        means: float32 [B, ...], the same without their noise.
        labels: of the task, [B, ...].
        logits: of the task head, float32 [B, A].
        pictures: what each of training's decoders makes of the codes, float32 [B, S, S, 3] in
            [0, 1]; empty where none is trained.
        encoder: image -> code.
        classes: float32 [B, A] of 0 and 1, the class of each image; None where the task is not one
            class of several.
        private: private attributes, float32 [B, P] in {0, 1}; None where none are named.
        task_head: code -> logits; None where no defence asks it.
        memory: what the defence's `memory` made; None for a defence without one.
        shared: for what `loss` and `observe` both need and one of them computes.
        move: (optimizer, gradients, variables), takes an optimizer's step on all replicas; for
            networks of the defence's own.
    """

    images: tf.Tensor
    codes: tf.Tensor
    means: tf.Tensor
    labels: tf.Tensor
    logits: tf.Tensor
    pictures: tuple[tf.Tensor, ...]
    encoder: keras.Model
    classes: tf.Tensor | None = None
    private: tf.Tensor | None = None
    task_head: keras.Model | None = None
    memory: Any = None
    shared: dict[str, Any] = dataclasses.field(default_factory=dict)
    move: Callable[..., None] | None = None


@dataclasses.dataclass(frozen=True)
class Defence:
    """One way to protect codes: by layers, a loss, or shares.

    Attributes:
        source: the paper.
        strength: the number of --defence_strength. Of a defence with a loss it is the weight of
            that loss; of others, what `layers` takes. More of it protects more.
        bound: the number of --defence_bound; None where it takes no second one.
        layers: (strength, bound) -> layers at the end of the encoder, also where it is exported.
            Their names begin with LAYER_PREFIX. Noise is a `code_layers.DrawnNoise`.
        loss: (step, bound) -> scalar that the encoder's step adds with the weight `strength`.
        observe: (step, bound) -> None: takes statistics for layers or memory in every step of the
            encoder, or moves networks in its memory; the encoder gets no gradient of it.
        memory: (encoder, task head, number of private attributes) -> a layer with what `loss` needs
            of training, such as statistics or a network; None where it needs nothing. Checkpoints
            have it; exported files do not.
        adversary: whether decoders are trained beside the encoder.
        private: whether it hides private attributes, which must be named.
        private_optional: whether it also hides private attributes where they are named.
        shares: strength -> into how many shares codes are divided, each for a server of its own
            with its own task head (`models.shares`).
        describe: (strength, shape of a code) -> what the numbers mean for it, in a sentence.
    """

    source: str
    strength: Number
    bound: Number | None = None
    layers: Callable[[float, float], Sequence[keras.Layer]] | None = None
    loss: Callable[[Step, float], tf.Tensor] | None = None
    observe: Callable[[Step, float], None] | None = None
    memory: Callable[[keras.Model, keras.Model, int], keras.layers.Layer | None] | None = None
    adversary: bool = False
    private: bool = False
    private_optional: bool = False
    shares: Callable[[float], int] | None = None
    describe: Callable[[float, tuple[int, ...]], str] | None = None
