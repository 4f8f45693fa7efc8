# SPDX-License-Identifier: Apache-2.0
"""Small classifiers of other families: fully connected, recurrent, attention."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected classifier x[N,widths[0]] -> logits[N,widths[-1]], ReLU between layers."""

    def __init__(self, widths: Sequence[int] = (64, 32, 16, 10)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(C, K) for C, K in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C] -> logits[N,classes]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        logits: Tensor = self.layers[-1](x)
        return logits


class GRUClassifier(nn.Module):
    """One GRU over time, the last state decides: x[N,T,C] -> logits[N,classes].

    T is unrolled when the network is captured, so keep it small (at most 16).
    """

    def __init__(self, C: int = 10, hidden: int = 32, classes: int = 12) -> None:
        super().__init__()
        self.gru = nn.GRU(C, hidden, batch_first=True)
        self.fc1 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,T,C] -> logits[N,classes]."""
        states, _ = self.gru(x)  # [N,T,hidden]
        logits: Tensor = self.fc1(states[:, -1])
        return logits


class LSTMClassifier(nn.Module):
    """One LSTM over time, the last state decides: x[N,T,C] -> logits[N,classes].

    T is unrolled, so keep it small (at most 16). The loop is written out because torch 2.13
    captures `nn.LSTM` as one operator with an extra gradient, which the joint graph refuses.
    """

    def __init__(self, C: int = 10, hidden: int = 32, classes: int = 12) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(C, hidden)
        self.fc1 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,T,C] -> logits[N,classes]."""
        h = c = x.new_zeros(x.shape[0], self.cell.hidden_size)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        logits: Tensor = self.fc1(h)
        return logits


class AttentionBlock(nn.Module):
    """One pre-norm transformer block: x[N,T,C] -> y[N,T,C].

    Source: Xiong et al. 2020, arXiv:2002.04745 (layer norm before attention and before the MLP).
    """

    def __init__(self, C: int = 32, heads: int = 4, expansion: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(C)
        self.qkv = nn.Linear(C, 3 * C)
        self.project = nn.Linear(C, C)
        self.norm2 = nn.LayerNorm(C)
        self.expand = nn.Linear(C, expansion * C)
        self.reduce = nn.Linear(expansion * C, C)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,T,C] -> y[N,T,C]."""
        N, T, C = x.shape
        qkv = self.qkv(self.norm1(x)).view(N, T, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [N,heads,T,C/heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + self.project(mixed.transpose(1, 2).reshape(N, T, C))
        y: Tensor = x + self.reduce(F.gelu(self.expand(self.norm2(x))))
        return y


class AttentionClassifier(nn.Module):
    """One attention block, mean over time: x[N,T,C] -> logits[N,classes]."""

    def __init__(self, C: int = 10, width: int = 32, classes: int = 12) -> None:
        super().__init__()
        self.embed = nn.Linear(C, width)
        self.block = AttentionBlock(width)
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,T,C] -> logits[N,classes]."""
        logits: Tensor = self.fc1(self.norm(self.block(self.embed(x))).mean(1))
        return logits
