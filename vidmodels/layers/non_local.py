"""The non-local block: every place of a clip looks at every other (Wang et al. 2018, "Non-local Neural Networks").

N clips, C channels, D inner channels, T frames, H height, W width, L = T*H*W places, M places after pooling.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Affinity = Literal["softmax", "dot_product"]


class NonLocal(nn.Module):
    """x + norm(conv_out(affinity(theta(x), phi(pool(x))) g(pool(x)))), with no ReLU after it (section 3, figure 2).

    softmax: inner products times D^-0.5, softmax over the M places; dot_product: inner products divided by M.
    group: parts that the clip is cut into along time, each looking at itself only.
    """

    def __init__(
        self, dim: int, inner: int, pool: tuple[int, int, int] = (1, 2, 2), affinity: Affinity = "softmax", group: int = 1
    ) -> None:
        super().__init__()
        self.pool, self.affinity, self.group = tuple(pool), affinity, group
        self.conv_theta = nn.Conv3d(dim, inner, 1)
        self.conv_phi = nn.Conv3d(dim, inner, 1)
        self.conv_g = nn.Conv3d(dim, inner, 1)
        self.conv_out = nn.Conv3d(inner, dim, 1)
        self.norm = nn.BatchNorm3d(dim)
        nn.init.zeros_(self.norm.weight)  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, h, w = x.shape
        if self.group > 1:
            parts = x.unflatten(2, (self.group, t // self.group)).transpose(1, 2).flatten(0, 1)
            return self._attend(parts).unflatten(0, (n, self.group)).transpose(1, 2).reshape(n, c, t, h, w)
        return self._attend(x)

    def _attend(self, x: Tensor) -> Tensor:
        seen = functional.max_pool3d(x, self.pool, self.pool) if max(self.pool) > 1 else x
        theta = self.conv_theta(x).flatten(2).transpose(1, 2)  # [N, L, D]
        phi = self.conv_phi(seen).flatten(2).transpose(1, 2)  # [N, M, D]
        g = self.conv_g(seen).flatten(2).transpose(1, 2)
        if self.affinity == "softmax":
            out = functional.scaled_dot_product_attention(theta.unsqueeze(1), phi.unsqueeze(1), g.unsqueeze(1)).squeeze(1)
        else:
            # a product without softmax: phi' g first is a D x D matrix instead of an L x M one
            out = theta @ (phi.transpose(1, 2) @ g / phi.shape[1])
        out = out.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.norm(self.conv_out(out))
