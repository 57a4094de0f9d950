"""The network that is asked what a noisy set of interests was before the noise.

A transformer over K slots [B, K, D], no slot having a place: whoever permutes the slots permutes the answer. Each block
is DiT's with adaLN-Zero (Peebles and Xie, "Scalable Diffusion Models with Transformers", ICCV 2023, section 3.2): with
shift, scale and gate computed from t,
    h = h + gate * A(scale * LayerNorm(h) + shift),
where A is in turn self-attention of the slots, their cross-attention to the history, and a feed-forward network; what
computes the gates starts at 0, so that every block starts as the identity.

The history is read by SASRec, once a user however many steps follow. In training it is hidden now and then behind one
learned token, the null condition of classifier-free guidance (Ho and Salimans, "Classifier-Free Diffusion Guidance",
2022).

Differs from the paper:
* the condition is a sequence and not a class, hence the cross-attention; t alone enters adaLN;
* the answer is a residual: each slot points at behaviours, by a last attention whose weights start equal, and what it
  adds to their mean starts at 0. So training starts from mean pooling, and not from zeros, which have no direction;
* `interacting = False` leaves self-attention out: K slots are then K separate sets of one slot, sharing a history.

B users, K slots, L behaviours, D width, H hidden width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.extractors.sasrec import SASRec


@dataclass(frozen=True)
class Context:
    """What a denoiser knows of the users, read once; place 0 is the null token, the others are behaviours.

    Attributes:
        keys_values: for each block [B, 1 + L, 2 H] float, what cross-attention reads: the encoder's states, mapped.
        pointer_keys: [B, 1 + L, H] float, what the last attention compares slots with.
        vectors: [B, 1 + L, D] float, what it returns: behaviours as they came.
        mask: [B, 1 + L] bool, True = to be attended to: the behaviours, or the null token alone.
    """

    keys_values: tuple[Tensor, ...]
    pointer_keys: Tensor
    vectors: Tensor
    mask: Tensor

    def without(self, dropped: Tensor) -> Context:
        """Hide the history of the users where `dropped` [B] bool is True."""
        seen = self.mask[:, 1:] & ~dropped[:, None]
        return replace(self, mask=torch.cat([dropped[:, None], seen], 1))

    @property
    def null(self) -> Context:
        """The same users without a history; as `without` hides it from all, and with nothing left to attend among."""
        return Context(
            keys_values=tuple(read[:, :1] for read in self.keys_values),
            pointer_keys=self.pointer_keys[:, :1],
            vectors=self.vectors[:, :1],
            mask=torch.ones_like(self.mask[:, :1]),
        )


class SetDenoiser(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Noisy slots, their t and the history -> clean slots.

    Args:
        width: D.
        max_history: longest history, for the encoder's position vectors.
        hidden_width: H.
        n_layers: blocks.
        n_heads: attention heads of the blocks, a divisor of H.
        n_encoder_layers: layers of SASRec.
        n_encoder_heads: its heads, a divisor of D.
        dropout: of SASRec.
        interacting: whether slots attend to each other.
        scaling_factor: length of what counts as a clean vector, sqrt(D) to give its coordinates a variance of 1, which
            is what noise schedules are made for.
        heard: what noisy slots are multiplied by before they are read.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        width: int,
        max_history: int,
        hidden_width: int,
        scaling_factor: float,
        n_layers: int = 2,
        n_heads: int = 2,
        n_encoder_layers: int = 1,
        n_encoder_heads: int = 2,
        dropout: float = 0.0,
        interacting: bool = True,
        heard: float = 1.0,
    ) -> None:
        super().__init__()
        D, H = width, hidden_width
        self.heard = heard
        self.scaling_factor = scaling_factor  # only stated here: vectors come and go in units of it
        encoder = {"n_layers": n_encoder_layers, "n_heads": n_encoder_heads}
        self.encoder = SASRec(D, max_history, **encoder, dropout=dropout)
        self.null_state = nn.Parameter(torch.randn(D) * 0.02)
        self.null_vector = nn.Parameter(torch.randn(D) * 0.02)
        self.waves = Timesteps(H, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(H, H)
        self.read = nn.Linear(D, H)
        self.blocks = nn.ModuleList(_Block(H, n_heads, interacting) for _ in range(n_layers))
        self.keys_values = nn.ModuleList(nn.Linear(D, 2 * H, bias=False) for _ in range(n_layers))
        self.last = _Modulated(H, n_parts=2)
        self.pointer_query = nn.Linear(H, H, bias=False)  # a bias of keys or of queries would be one too many
        self.pointer_key = nn.Linear(D, H, bias=False)
        self.write = nn.Linear(H, D)
        for start_at_zero in (self.pointer_query.weight, self.write.weight, self.write.bias):
            nn.init.zeros_(start_at_zero)

    def encode(self, history: Tensor, history_mask: Tensor) -> Context:
        """Read histories [B, L, D], whatever lies under the padding of `history_mask` [B, L]."""
        history = history.masked_fill(~history_mask[..., None], 0)
        B = len(history)
        states = torch.cat([self.null_state.expand(B, 1, -1), self.encoder.states(history, history_mask)], 1)
        return Context(
            keys_values=tuple(map_history(states) for map_history in self.keys_values),
            pointer_keys=self.pointer_key(states),
            vectors=torch.cat([self.null_vector.expand(B, 1, -1), history], 1),
            mask=torch.cat([history_mask.new_zeros(B, 1), history_mask], 1),
        )

    def forward(self, sample: Tensor, timestep: Tensor, context: Context) -> Tensor:
        """Say what the slots were before the noise.

        Args:
            sample: [B, K, D], noisy slots in units of `scaling_factor`.
            timestep: [B] or [] int64, t of each user or of all.
            context: of the B users.

        Returns:
            [B, K, D].
        """
        wave = self.waves(timestep.reshape(-1)).to(sample.dtype)  # [B or 1, H]
        time = F.silu(self.time(wave))[:, None]  # [B or 1, 1, H]
        mask = context.mask[:, None, None]  # [B, 1, 1, 1 + L]: the same for all heads and slots
        slots = self.read(self.heard * sample)  # [B, K, H]
        for block, keys_values in zip(self.blocks, context.keys_values, strict=True):
            slots = block(slots, time, keys_values, mask)
        slots, _ = self.last(slots, time)
        query, key, value = self.pointer_query(slots)[:, None], context.pointer_keys[:, None], context.vectors[:, None]
        pointed_at = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # [B, 1, K, D]
        answer: Tensor = pointed_at[:, 0] + self.write(slots)
        return answer


class _Modulated(nn.Module):
    """scale * LayerNorm(h) + shift, and the gate of what is made of it; scale starts at 1, shift and gate at 0."""

    def __init__(self, width: int, n_parts: int = 3) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.of_time = nn.Linear(width, n_parts * width)
        self.n_parts = n_parts
        nn.init.zeros_(self.of_time.weight)
        nn.init.zeros_(self.of_time.bias)

    def forward(self, slots: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale, *gate = self.of_time(time).chunk(self.n_parts, -1)  # [B or 1, 1, H] each
        return torch.addcmul(shift, self.norm(slots), 1 + scale), gate[0] if gate else scale


class _Block(nn.Module):
    """Self-attention where slots interact, cross-attention to the history, feed-forward, each behind its gate."""

    def __init__(self, hidden_width: int, n_heads: int, interacting: bool) -> None:
        super().__init__()
        H = hidden_width
        self.n_heads = n_heads
        self.before_self = _Modulated(H) if interacting else None
        if interacting:
            self.self_queries_keys_values, self.self_out = nn.Linear(H, 3 * H, bias=False), nn.Linear(H, H)
        self.before_cross = _Modulated(H)
        self.queries, self.cross_out = nn.Linear(H, H, bias=False), nn.Linear(H, H)
        self.before_feed_forward = _Modulated(H)
        self.feed_forward = nn.Sequential(nn.Linear(H, 2 * H), nn.GELU(), nn.Linear(2 * H, H))

    def forward(self, slots: Tensor, time: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
        """Map slots [B, K, H], given t [B or 1, 1, H] and the history [B, 1 + L, 2 H], to [B, K, H]."""
        if self.before_self is not None:
            read, gate = self.before_self(slots, time)
            q, k, v = self.self_queries_keys_values(read).chunk(3, -1)
            slots = torch.addcmul(slots, gate, self.self_out(self._attend(q, k, v, None)))
        read, gate = self.before_cross(slots, time)
        k, v = keys_values.chunk(2, -1)
        slots = torch.addcmul(slots, gate, self.cross_out(self._attend(self.queries(read), k, v, mask)))
        read, gate = self.before_feed_forward(slots, time)
        return torch.addcmul(slots, gate, self.feed_forward(read))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (part.view(*part.shape[:2], self.n_heads, -1).transpose(1, 2) for part in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, heads, K, H / heads]
        side_by_side: Tensor = attended.transpose(1, 2).flatten(2)
        return side_by_side
