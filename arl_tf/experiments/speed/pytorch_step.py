"""The adversarial step in PyTorch: what a user of that framework would write. Needs torch.

A process of its own, since TensorFlow and PyTorch in one process can crash:

    python -m arl_tf.experiments.speed.pytorch_step NUMBERS

It builds the forms of the step and prints their names as a line of JSON. Then it makes one step for
every line that it reads, of the form that the line names, and answers with a line.
"""

import json
import shutil
import sys
from collections.abc import Callable

import torch
from torch.nn import functional

from arl_tf.experiments.speed import pytorch_networks as networks
from arl_tf.experiments.speed.pytorch_process import Numbers


class Players:
    """Networks and optimizers of the step, in one memory format."""

    def __init__(self, numbers: Numbers, memory: torch.memory_format):
        """Builds them."""
        self.encoder = networks.Encoder(numbers.code_channels)
        self.head = networks.task_head(numbers.code_channels, numbers.attributes)
        self.decoder = networks.decoder(numbers.code_channels, numbers.decoder_width)
        self.features = networks.Perceptual()
        for each in (self.encoder, self.head, self.decoder, self.features):
            each.to(memory_format=memory)
        self.protected = [*self.encoder.parameters(), *self.head.parameters()]
        self.protector = torch.optim.AdamW(
            self.protected, numbers.encoder_learning_rate, weight_decay=numbers.weight_decay
        )
        self.adversary = torch.optim.Adam(self.decoder.parameters(), numbers.decoder_learning_rate)
        self.clip_norm = numbers.clip_norm


def perceptual_loss(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> torch.Tensor:
    """Squared feature distance, a sum over layers and channels, a mean over the rest."""
    each = [(one - other).square().sum(1).mean() for one, other in zip(ours, theirs, strict=True)]
    return torch.stack(each).sum()


def adversary_step(players: Players, image: torch.Tensor, mu: float) -> None:
    """Formula (1): the decoder learns to reconstruct public images."""
    players.decoder.requires_grad_(True)
    with torch.no_grad():
        players.encoder.eval()
        code = players.encoder(image)
        wanted = players.features(image)
    picture = players.decoder(code)
    perceptual = perceptual_loss(players.features(picture), wanted)
    loss = functional.mse_loss(picture, image) + mu * perceptual
    moved(players.adversary, loss, players.decoder.parameters(), players.clip_norm)


def protector_step(
    players: Players, image: torch.Tensor, labels: torch.Tensor, weight: float
) -> torch.Tensor:
    """Formula (2): encoder and task head learn the task and to spoil the reconstruction."""
    # The decoder's own gradients are of no use here.
    players.decoder.requires_grad_(False)
    players.encoder.train()
    code = players.encoder(image)
    with torch.no_grad():
        wanted = players.features(image)
    perceptual = perceptual_loss(players.features(players.decoder(code)), wanted)
    task = functional.binary_cross_entropy_with_logits(players.head(code), labels)
    loss = task - weight * perceptual
    moved(players.protector, loss, players.protected, players.clip_norm)
    return loss.detach()


def moved(
    optimizer: torch.optim.Optimizer, loss: torch.Tensor, parameters, clip_norm: float
) -> None:
    """One step of an optimizer along clipped gradients."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()


def step_in(
    numbers: Numbers, memory: torch.memory_format, compile_networks: bool = False
) -> Callable[[], float]:
    """A step on random images, [B, 3, S, S] in a memory format; it returns the encoder's loss."""
    players = Players(numbers, memory)
    if compile_networks:
        for name in ("encoder", "head", "decoder", "features"):
            setattr(players, name, torch.compile(getattr(players, name)))
    shape = (numbers.batch_size, 3, numbers.image_size, numbers.image_size)
    private, public = (torch.rand(shape).contiguous(memory_format=memory) for _ in range(2))
    labels = (torch.rand(numbers.batch_size, numbers.attributes) < 0.5).float()

    def step() -> float:
        adversary_step(players, public, numbers.mu)
        return float(protector_step(players, private, labels, numbers.lambda_perceptual))

    return step


def forms(numbers: Numbers) -> dict[str, Callable[[], float]]:
    """Form of the step -> the step: plain, channels last, and compiled."""
    found = {
        "pytorch_contiguous": step_in(numbers, torch.contiguous_format),
        "pytorch_channels_last": step_in(numbers, torch.channels_last),
    }
    # It needs a C++ compiler.
    if shutil.which("g++") or shutil.which("clang++"):
        found["pytorch_compiled"] = step_in(numbers, torch.channels_last, compile_networks=True)
    return found


def main() -> None:
    """Answers lines until there are no more."""
    numbers = Numbers(**json.loads(sys.argv[1]))
    torch.set_num_threads(numbers.threads)
    steps = forms(numbers)
    print(json.dumps(list(steps)), flush=True)
    for line in sys.stdin:
        print(steps[line.strip()](), flush=True)


if __name__ == "__main__":
    main()
