"""The heads of X3D: its narrow last map is widened before pooling and again after it.

N clips, C channels, T frames, H height, W width, P positions of a pooled map, R boxes, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from vidmodels.core.label_sets import NumClasses, total_of
from vidmodels.heads.clip import Activation, Average, init_classifier, mean_over_positions, pool_windows
from vidmodels.heads.projection import label_sets_of, make_projection
from vidmodels.heads.roi_action import RoiActionHead
from vidmodels.layers.conv import PointConv3d, conv_norm_act


class X3DHead(nn.Module):
    """conv_5, norm, ReLU, average pooling, lin_5, ReLU, dropout, linear layer (X3D, table 1: conv5, pool5, fc1, fc2).

    dim, inner: channels of the last map and of conv_5; width: those of lin_5, the features. window: side of the pooling
    window in cells, the training crop / 32 rounded up (None: the whole map); how larger and smaller maps are treated, and
    what `average` means, is said in ClipHead. lin_norm: a norm after lin_5, which no published model has.
    """

    def __init__(
        self,
        dim: int,
        inner: int,
        num_classes: NumClasses,
        width: int = 2048,
        window: int | None = None,
        dropout: float = 0.5,
        activation: Activation = "softmax",
        average: Average = "scores",
        lin_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.label_sets = total_of(num_classes), label_sets_of(num_classes)
        self.window, self.activation, self.average = window, activation, average
        self.conv_5, self.norm_5 = PointConv3d(dim, inner, bias=False), nn.BatchNorm3d(inner)
        self.lin_5 = nn.Linear(inner, width, bias=False)
        self.lin_norm = nn.BatchNorm1d(width) if lin_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.projection = make_projection(width, num_classes)
        init_wide(self.conv_5, self.lin_5, self.projection)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [N, K] of maps [N, C, T, H, W], a list of one."""
        logits = self.projection(self.dropout(self.positions(maps)))
        return mean_over_positions(logits, self.activation, self.average, self.training, self.label_sets)

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """What the linear layer takes, at each position: [N, P, D]."""
        x = conv_norm_act(self.conv_5, self.norm_5, maps[0], "relu")
        pooled = pool_windows(x, self.window).flatten(2).transpose(1, 2)
        wide = self.lin_5(pooled)
        return functional.relu(self.lin_norm(wide.flatten(0, 1)).view_as(wide))

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """Embedding [N, D]: the mean over all positions."""
        return self.positions(maps).mean(1)


class X3DActionHead(RoiActionHead):
    """The same layers for boxes: conv_5, norm, ReLU, RoIAlign and maximum over each box, lin_5, ReLU, linear layer.

    No detection code or weights of X3D were published; the paper says that RoI features replace the pooled ones (section
    4.4). The layers bear the classifier's names, so that its weights are the start. stride: pixels of a cell of the map.
    """

    def __init__(
        self,
        dim: int,
        inner: int,
        num_classes: NumClasses,
        width: int = 2048,
        stride: int = 16,
        dropout: float = 0.5,
        activation: Activation = "sigmoid",
    ) -> None:
        super().__init__((width,), num_classes, stride, dropout=dropout, activation=activation)
        self.conv_5, self.norm_5 = PointConv3d(dim, inner, bias=False), nn.BatchNorm3d(inner)
        self.lin_5 = nn.Linear(inner, width, bias=False)
        init_wide(self.conv_5, self.lin_5, self.projection)

    def pool(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """What the linear layer takes for each box: [R, D]."""
        x = conv_norm_act(self.conv_5, self.norm_5, maps[0], "relu")
        return functional.relu(self.lin_5(super().pool([x], boxes)))


def init_wide(conv: nn.Conv3d, linear: nn.Linear, projection: nn.Module) -> None:
    """Kaiming-normal conv_5 and lin_5 (a 1x1x1 convolution in the published code) by fan-out, the classifier as all others."""
    for layer in (conv, linear):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    init_classifier(projection)
