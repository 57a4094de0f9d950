"""Interests are generated: samples of a denoising diffusion that reads the history, joined where they lie close.

Open question 5.6 of Li et al., "Multi-Interest Recommendation: A Survey" (arXiv 2506.15284): can diffusion recover the
several facets of a user?

    1. S samples are drawn given the history, by a few deterministic steps from noise; or from the latest S behaviours
       with the noise of an earlier t (`start`), so that each sample is what the network makes of one of them;
    2. in serving, samples that lie close are joined: each mode is an interest, its mean the vector, its share of the
       samples the importance. So K follows from how widely the samples scatter;
    3. beside the modes the answer to no noise at all, at t = T, may be one more interest with a fixed part of the
       importance (`whole_share`): what a deterministic network of this form says. In serving it may have a second form,
       guided away from the answer to no history, which is what is popular (`contrast`);
    4. the denoising loss, a penalty named `denoising`, is of one t a user, the history being hidden from some;
    5. the ranking loss of the recommender falls on one of three things (`ranked`): on `samples`, drawn as in serving,
       each an interest, since the gradient of a mode would move all its samples alike, and what is joined once would
       never part; its gradient runs through their last answer. On the `whole` alone: then samples are what the
       denoising loss makes of them. Or on what is `denoised`: the answer to the target itself with the noise of a
       random t, as in DiffuRec.

Two generators, by what a sample is:
* `Posterior`: a vector of the next item. Samples are independent; together they are the density of what comes next;
* `InterestSet`: one of S slots that are denoised together and attend to each other; the clean set is made of clusters
  of the behaviours, the one to come among them (`clean_sets`).

Two published recommenders are settings of `Posterior`, each of one sample, without a whole:
* DiffuRec (Li, Sun and Li, "DiffuRec: A Diffusion Model for Sequential Recommendation", TOIS 2023, algorithms 1 and 2):
  `ranked = denoised`, `loss.weights.denoising = 0`, no history hidden, `heard` .001. Differs from the paper: the noisy
  target is a slot that attends to the history, not a vector added to each behaviour with random weights of that size;
  the way back is DDIM's; the schedule is the cosine; negatives are sampled, as for all methods here;
* DreamRec (Yang et al., "Generate What You Prefer", NeurIPS 2023, algorithms 1 and 2): `loss.weights.softmax = 0`, so
  that no negative counts; 10 % of the histories hidden, guidance 3 (w = 2 of the authors, who add w to 1). Differs from
  the paper: t enters by adaLN and the history by attention; the table starts from co-occurrences, and learns by what is
  read of the history alone; steps are few and DDIM's; scores are cosines. A learned bonus for items of the history
  stays 0, since nothing ranks in training.

Differs from the survey: it proposes no method. Clean vectors are the current ones of a table in training, yet no target
that is shown to the network moves the table, which could please by making all items alike. Noise
of serving follows from the history (`starts.OwnNoise`). Under `dot` lengths of items are not generated: directions are,
all of one length.

B users, L behaviours, S samples, K interests, D width.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.errors import BadInput, require_number, unknown_name
from baselines.interests import InterestExtractor, Interests
from baselines.unit import unit
from diffusion_mi.clean_sets import clean_sets
from diffusion_mi.denoiser import Context, SetDenoiser
from diffusion_mi.diffusion import Diffusion, Sampling, make_scheduler
from diffusion_mi.modes import Linkage, find_modes
from diffusion_mi.pipeline import InterestPipeline
from diffusion_mi.starts import OwnNoise

_RANKED = ("samples", "whole", "denoised")


class Posterior(InterestExtractor):
    """Modes of the density of the next item.

    Args:
        width: D.
        max_history: L.
        linkage: what clusters samples, given by whoever makes the extractor.
        n_samples: S, the samples of a user.
        ranked: what the ranking loss falls on: `samples` as in serving; the `whole`, which is the answer to no noise;
            or `denoised`, the answer to the noised target.
        whole_share: the share of the importance that the whole has as an interest beside the modes, from 0 = it is none
            to 1 = it is the only one.
        contrast: of serving: guidance of a second whole, with half the share of both; 1 = there is none.
        max_distance: samples whose mean distance, 1 - cosine, is at most this are one interest; 0 = only equal ones, 2
            = all of them.
        sampler: how noise becomes a sample: DDIM, DPM-Solver++ or UniPC, all deterministic.
        n_steps: how many answers of the network a sample takes.
        guidance: of serving: 1 = as trained, above 1 = away from what is said without a history, 0 = that. Training
            draws at 1.
        temperature: what the noise that samples start from is multiplied by; 0 = none.
        start: how much of the way back is gone, as a share of T: 1 = all of it, from noise alone; less = from the
            behaviours, noised.
        prediction: what the network is asked for: the clean vector (`sample`), or `v_prediction`.
        heard: what a noisy vector is multiplied by before the network reads it; next to nothing in DiffuRec, where the
            network could else copy the target that it is shown.
        n_diffusion_steps: T, how finely training divides the way from a clean vector to noise.
        hide_history: probability with which the denoising loss hides the history, for guidance.
        n_layers: blocks of the denoiser.
        n_heads: its attention heads, a divisor of the hidden width.
        hidden_width: its width; 0 = D.
        n_encoder_layers: SASRec layers that read the history.
        encoder_dropout: dropout inside them.
    """

    reads_target = True
    interacting = False
    """Whether the samples of a user are one set, denoised together."""

    def __init__(
        self,
        width: int,
        max_history: int,
        linkage: Linkage,
        *,
        n_samples: int = 8,
        ranked: Literal["samples", "whole", "denoised"] = "whole",
        whole_share: float = 0.7,
        contrast: float = 3.0,
        max_distance: float = 0.5,
        sampler: Literal["ddim", "dpm_solver", "unipc"] = "ddim",
        n_steps: int = 4,
        guidance: float = 2.0,
        temperature: float = 1.0,
        start: float = 0.5,
        prediction: Literal["sample", "v_prediction"] = "sample",
        heard: float = 1.0,
        n_diffusion_steps: int = 1000,
        hide_history: float = 0.1,
        n_layers: int = 2,
        n_heads: int = 2,
        hidden_width: int = 0,
        n_encoder_layers: int = 1,
        encoder_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, count in (("n_samples", n_samples), ("n_layers", n_layers), ("n_heads", n_heads)):
            require_number(f"model.{name}", count, at_least=1)
        require_number("model.hidden_width", hidden_width, at_least=0)
        require_number("model.max_distance", max_distance, at_least=0)
        require_number("model.hide_history", hide_history, at_least=0, below=1)
        require_number("model.contrast", contrast, at_least=1)
        require_number("model.heard", heard, above=0)
        if not 0 <= whole_share <= 1:
            raise BadInput(f"model.whole_share must lie in 0..1, got {whole_share}.")
        if ranked not in _RANKED:
            raise unknown_name("model.ranked", ranked, _RANKED)
        hidden_width = hidden_width or width
        if hidden_width % n_heads:
            raise BadInput(f"model.n_heads must divide the hidden width {hidden_width}, got {n_heads}.")
        self.linkage, self.max_distance, self.hide_history = linkage, max_distance, hide_history
        self.width, self.n_samples, self.ranked = width, n_samples, ranked
        self.whole_share, self.contrast = whole_share, contrast
        self.sampling = Sampling(
            sampler=sampler, n_steps=n_steps, guidance=guidance, temperature=temperature, start=start
        )
        self.diffusion = Diffusion(make_scheduler(prediction, n_diffusion_steps))
        self.diffusion.sampler(self.sampling)  # refuses more steps than there are
        self.denoiser = SetDenoiser(
            width,
            max_history,
            hidden_width,
            math.sqrt(width),
            n_layers=n_layers,
            n_heads=n_heads,
            n_encoder_layers=n_encoder_layers,
            n_encoder_heads=2 if width % 2 == 0 else 1,
            dropout=encoder_dropout,
            interacting=self.interacting,
            heard=heard,
        )
        self.noise = OwnNoise(width)

    def forward(
        self, history: Tensor, history_mask: Tensor, target: Tensor | None = None, undropped: Tensor | None = None
    ) -> Interests:
        """See `InterestExtractor.forward`; without a target there is no denoising loss.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool.
            target: [B, D], the behaviour to come, of any length; it enters the denoising loss alone.
            undropped: [B, L, D], the history before dropout, where what there is to be denoised is made of it.
        """
        context = self.denoiser.encode(history, history_mask)
        penalties = {}
        if self.training:
            vectors, log_share = self._ranked(context, history, history_mask, target)
            mask = torch.ones_like(log_share, dtype=torch.bool)
            if target is not None:
                whole = history if undropped is None else undropped
                penalties["denoising"] = self._denoising(context, whole, history_mask, unit(target.detach()))
        else:
            vectors, mask, log_share = self._served(context, history, history_mask)
        assignment = self.assigned(history, history_mask, vectors, mask)
        vectors = vectors * self.denoiser.scaling_factor
        return Interests(vectors, mask, log_share, assignment, penalties)

    def draw(self, context: Context, history: Tensor, history_mask: Tensor) -> Tensor:
        """Draw samples of unit length, [B, S, D]: by chance and unguided in training, by the user's own noise after.

        Args:
            context: of `history` [B, L, D] and `history_mask` [B, L].
        """
        if self.training:
            noise = torch.randn(len(history), self.n_samples, self.width, device=history.device)
            sampling = replace(self.sampling, guidance=1.0)
        else:
            noise, sampling = self.noise(history, history_mask, self.n_samples), self.sampling
        return self.diffusion.draw(self.denoiser, context, history, history_mask, noise, sampling)

    def _ranked(
        self, context: Context, history: Tensor, history_mask: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What the ranking loss falls on: unit vectors [B, K, D] and their log importance [B, K]."""
        if self.ranked == "samples" and self.whole_share < 1:
            vectors = self.draw(context, history, history_mask)
            log_share = vectors.new_full(vectors.shape[:2], -math.log(self.n_samples))
            return self._beside_whole(context, vectors, log_share) if self.whole_share else (vectors, log_share)
        if self.ranked == "denoised" and target is not None:
            clean = unit(target.detach())[:, None] * self.denoiser.scaling_factor
            t = self._random_t(len(history), history.device)
            noised = self.diffusion.noised(clean, torch.randn_like(clean), t)
            vectors = unit(self.diffusion.guess(self.diffusion.ask(self.denoiser, context), noised, t))
        else:
            vectors = self._whole(context)
        return vectors, vectors.new_zeros(len(history), 1)

    def _served(self, context: Context, history: Tensor, history_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Modes of the samples, and the whole beside them: vectors [B, K, D], mask and log importance [B, K]."""
        if self.whole_share == 1:
            whole = self._whole(context)
            log_share = whole.new_full(whole.shape[:2], -math.log(whole.shape[1]))
            return whole, torch.ones_like(log_share, dtype=torch.bool), log_share
        samples = self.draw(context, history, history_mask)
        vectors, mask, log_share = find_modes(samples, self.linkage, self.max_distance)
        if self.whole_share:
            n_modes = mask.shape[1]
            vectors, log_share = self._beside_whole(context, unit(vectors), log_share)
            mask = F.pad(mask, (0, vectors.shape[1] - n_modes), value=True)
        return vectors, mask, log_share

    def _whole(self, context: Context) -> Tensor:
        """The answer to no noise, what is said at t = T of the history alone: [B, 1 or 2, D] of unit length."""
        nothing = torch.zeros(len(context.mask), 1, self.width, device=context.mask.device)
        t = torch.tensor(self.diffusion.n_diffusion_steps - 1, device=nothing.device)
        said = self.diffusion.guess(self.diffusion.ask(self.denoiser, context), nothing, t)
        if self.training or self.contrast == 1:
            return unit(said)
        of_null = self.diffusion.guess(self.diffusion.ask(self.denoiser, context.null), nothing, t)
        return unit(torch.cat([said, torch.lerp(of_null, said, self.contrast)], 1))

    def _beside_whole(self, context: Context, vectors: Tensor, log_share: Tensor) -> tuple[Tensor, Tensor]:
        """Add the whole after the others, whose shares sum to 1, with its odds against all of them."""
        whole = self._whole(context)
        log_odds = math.log(self.whole_share / (1 - self.whole_share)) - math.log(whole.shape[1])
        return torch.cat([vectors, whole], 1), F.pad(log_share, (0, whole.shape[1]), value=log_odds)

    def pipeline(self) -> InterestPipeline:
        """Return the generator on its own, to be saved and loaded as diffusers does; it has the same parameters."""
        return InterestPipeline(self.denoiser, self.diffusion.scheduler)

    def _denoising(self, context: Context, history: Tensor, history_mask: Tensor, target: Tensor) -> Tensor:
        """The denoising loss, a scalar, of targets [B, D] of unit length."""
        clean, noise = self.clean(history, history_mask, target)
        t, hidden = self._random_t(len(history), history.device), torch.rand(len(history), device=history.device)
        knows = self.diffusion.ask(self.denoiser, context.without(hidden < self.hide_history))
        return self.diffusion.loss(knows, clean * self.denoiser.scaling_factor, noise, t)

    def _random_t(self, n_users: int, device: torch.device) -> Tensor:
        return torch.randint(self.diffusion.n_diffusion_steps, (n_users,), device=device)

    def clean(
        self,
        history: Tensor,  # noqa: ARG002  a set reads it
        history_mask: Tensor,  # noqa: ARG002
        target: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """What there is to be denoised, and the noise: unit vectors and normal draws, [B, slots, D] both.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool; target: [B, D] of unit length.
        """
        return target[:, None], torch.randn_like(target)[:, None]


class InterestSet(Posterior):
    """A set of vectors, generated together."""

    interacting = True
    reads_undropped = True  # clusters of behaviours with parts missing are none of the user's

    def clean(self, history: Tensor, history_mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See `Posterior.clean`; the slots are the samples."""
        noise = torch.randn(len(history), self.n_samples, self.width, device=history.device)
        return clean_sets(history, history_mask, target, noise, self.linkage), noise
