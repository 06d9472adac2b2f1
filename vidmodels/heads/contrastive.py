"""The small networks that contrastive learning puts on pooled features: projection and prediction.

B clips, D channels in, E out.
"""

from __future__ import annotations

from torch import Tensor, nn


class ContrastiveMLP(nn.Sequential):
    """Linear layers with ReLU between them and, if asked for, batch norm before it: [B, D] to [B, E].

    With batch norm every linear layer but the last has no bias. Weights begin Kaiming-uniform (a = 1), biases at zero.
    """

    def __init__(self, dim: int, hidden: int, out: int, layers: int, norm: bool) -> None:
        modules: list[nn.Module] = []
        for number in range(layers - 1):
            modules += [nn.Linear(dim if number == 0 else hidden, hidden, bias=not norm)]
            modules += [nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)] if norm else [nn.ReLU(inplace=True)]
        super().__init__(*modules, nn.Linear(hidden if layers > 1 else dim, out))
        for module in self:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Not of unit length."""
        return super().forward(features)
