"""The default networks as a PyTorch user writes them: the same layers and shapes, other weights.

Needs torch. Only `python -m arl_tf.bench` uses it, to compare speeds.
"""

import torch
from torch import nn
from torch.nn import functional

# Of the batch statistics: PyTorch counts what is new, Keras what stays.
NORM = {"momentum": 0.1, "eps": 1e-3}


class Residual(nn.Module):
    """Two convolutions beside a shortcut, as in the encoder `small`."""

    def __init__(self, before: int, after: int, stride: int):
        """Takes the channels before and after, and the stride."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after, **NORM),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after, **NORM),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after, **NORM)
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, before, h, w] -> [B, after, h / stride, w / stride]."""
        return functional.relu(self.body(features) + self.shortcut(features))


class Encoder(nn.Module):
    """`small`, cut in the middle: [B, 3, S, S] in [0, 1] -> [B, channels, S / 8, S / 8]."""

    def __init__(self, channels: int):
        """Takes the code's channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 24, 3, 2, 1, bias=False),
            nn.BatchNorm2d(24, **NORM),
            nn.ReLU(),
            Residual(24, 48, 2),
            Residual(48, 96, 2),
            Residual(96, 96, 1),
            nn.Conv2d(96, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=False, **NORM),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Images to codes."""
        return self.body(2 * image - 1)


def task_head(channels: int, attributes: int) -> nn.Module:
    """The rest of `small`: [B, channels, h, w] -> logits [B, attributes]."""
    return nn.Sequential(
        nn.Conv2d(channels, 96, 1),
        Residual(96, 192, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(192, attributes),
    )


class DecoderBlock(nn.Module):
    """Two convolutions with activations before them, added to what comes in."""

    def __init__(self, channels: int):
        """Takes the channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, channels, h, w] -> the same shape."""
        return features + self.body(features)


def decoder(channels: int, width: int) -> nn.Module:
    """Codes [B, channels, h, w] -> pictures [B, 3, 8 h, 8 w] in [0, 1]."""
    wide = 4 * width
    return nn.Sequential(
        nn.Conv2d(channels, wide, 3, 1, 1),
        DecoderBlock(wide),
        nn.ReLU(),
        nn.ConvTranspose2d(wide, wide, 4, 2, 1),
        DecoderBlock(wide),
        nn.ReLU(),
        nn.ConvTranspose2d(wide, 2 * width, 4, 2, 1),
        DecoderBlock(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, 3, 4, 2, 1),
        nn.Sigmoid(),
    )


class Inverted(nn.Module):
    """An inverted bottleneck of EfficientNet-Lite, its batch normalisation folded."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int):
        """Takes channels before and after, how often they are widened between, and the stride."""
        super().__init__()
        inner = before * expansion
        expand = [nn.Conv2d(before, inner, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner),
            nn.ReLU6(),
            nn.Conv2d(inner, after, 1),
        )
        self.adds = stride == 1 and before == after

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, before, h, w] -> [B, after, h / stride, w / stride]."""
        found = self.body(features)
        return found + features if self.adds else found


class Perceptual(nn.Module):
    """EfficientNet-Lite0 up to its fifth block: three maps of unit-length channels; frozen."""

    def __init__(self) -> None:
        """Takes nothing: the network is always the same."""
        super().__init__()
        self.parts = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU6(), Inverted(32, 16, 1, 3, 1)),
                nn.Sequential(Inverted(16, 24, 6, 3, 2), Inverted(24, 24, 6, 3, 1)),
                nn.Sequential(Inverted(24, 40, 6, 5, 2), Inverted(40, 40, 6, 5, 1)),
            ]
        )
        self.requires_grad_(False)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """[B, 3, S, S] in [0, 1] -> [B, 16, S / 2, S / 2], [B, 24, S / 4, ...], [B, 40, ...]."""
        features, found = 2 * image - 1, []
        for part in self.parts:
            features = part(features)
            found.append(functional.normalize(features, dim=1))
        return found
