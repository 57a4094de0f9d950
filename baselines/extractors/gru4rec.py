"""GRU4Rec: one interest, the state of a gated recurrent unit after the latest behaviour.

Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based Recommendations with Recurrent Neural Networks" (ICLR 2016), eqs. 2
to 5; Hidasi, Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations" (CIKM 2018):
    r_t = sigmoid(W_r x_t + U_r h_{t-1})             z_t = sigmoid(W_z x_t + U_z h_{t-1})
    c_t = tanh(W x_t + r_t * (U h_{t-1}))            h_t = (1 - z_t) * h_{t-1} + z_t * c_t,    h_0 = 0.

Full strength asks for more than the encoder: `training.positions = every` (the authors too learn from each behaviour),
and a softmax against all items (`loss.kind = full_softmax`) or many (`loss.n_negatives`; the paper of 2018 gains by
adding some 2,000 to the mini-batch's own).

Differs from the paper:
* the reset gate is applied after the product U h_{t-1} and not before it, as cuDNN and the authors' PyTorch code do it,
  and the gates have biases; torch calls z_t what is 1 - z_t here;
* items enter as the vectors they are scored with (the "constrained embedding" of 2018), not one-hot, and the state is
  mapped linearly to their width, with no activation after it and no bias per item;
* a user's history is encoded from its start at every step, not carried over between parallel sessions of a mini-batch;
  negatives are the proposal's, not the other users' targets; the loss is a softmax, not TOP1 or BPR (or their -max).

B users, L behaviours, D width, H hidden width.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.dropout import Dropout
from baselines.errors import require_number
from baselines.extractors.causal import CausalExtractor


class GRU4Rec(CausalExtractor):
    """A recurrent encoder of the history.

    Args:
        width: D.
        max_history: not needed, a recurrence has no longest history.
        n_layers: recurrent layers, one on top of the other (the paper: one is best).
        hidden_width: H, the width of a layer's state (the paper: 100 to 1,000); 0 = D.
        dropout: probability with which a coordinate of a layer's output is dropped in training; the recurrence itself
            is left whole. `scoring.dropout` is the authors' dropout on what enters.
    """

    def __init__(
        self, width: int, max_history: int, *, n_layers: int = 1, hidden_width: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        del max_history
        require_number("model.n_layers", n_layers, at_least=1)
        require_number("model.hidden_width", hidden_width, at_least=0)
        H = hidden_width or width
        between = dropout if n_layers > 1 else 0.0  # torch drops between layers and warns where there is no between
        self.recurrence = nn.GRU(width, H, n_layers, batch_first=True, dropout=between)
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(H, width)

    def states(self, history: Tensor, history_mask: Tensor) -> Tensor:
        """See `CausalExtractor.states`.

        Padding comes after a user's behaviours, so no real state has seen it. In training on a CPU, where rows cost,
        users with short histories take fewer steps than those with long ones; packing would spare still more, but the
        backward pass over packed steps costs more than that. Otherwise, and on a GPU, where steps cost, all take as
        many, so that no bit depends on who else is there.
        """
        if self.training and history.device.type == "cpu":
            hidden = self._by_length(history, history_mask.sum(1))
        else:
            hidden, _ = self.recurrence(history)  # [B, L, H]
        states: Tensor = self.project(self.dropout(hidden))  # [B, L, D]
        return states

    def _by_length(self, history: Tensor, length: Tensor) -> Tensor:
        """Hidden states [B, L, H], of users with up to 8, 16, 32 ... behaviours [B] together; 0 after these many."""
        B, L, _ = history.shape
        steps = (8 * 2 ** (length / 8).clamp(min=1).log2().ceil().long()).clamp(max=L)  # [B]
        hidden = history.new_zeros(B, L, self.recurrence.hidden_size)
        for n in sorted(set(steps.tolist())):
            users = (steps == n).nonzero().squeeze(1)
            states, _ = self.recurrence(history[users, :n])
            hidden = hidden.index_copy(0, users, nn.functional.pad(states, (0, 0, 0, L - n)))
        return hidden
