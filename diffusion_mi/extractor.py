"""Interests are generated: samples of a denoising diffusion that reads the history, joined where they lie close.

Open question 5.6 of Li et al., "Multi-Interest Recommendation: A Survey" (arXiv 2506.15284): can diffusion recover the
several facets of a user?

    1. S samples are drawn given the history, by a few deterministic steps from noise, in training as in serving;
    2. in serving, samples that lie close are joined: each mode is an interest, its mean the vector, its share of the
       samples the importance. So K follows from how widely the samples scatter. In training each sample is an interest:
       the gradient of a mean would move all its samples alike, and what is joined once would never part;
    3. the ranking loss of the recommender falls on those interests, the samples being answers to the network's own
       questions; its gradient runs through the last answer;
    4. beside it the denoising loss, a penalty named `denoising`, of one t a user, the history being hidden from some.

Two generators, by what a sample is:
* `Posterior`: a vector of the next item. Samples are independent; together they are the density of what comes next, as
  DiffuRec (Li et al., TOIS 2023) and DreamRec (Yang et al., NeurIPS 2023) generate it, of which each takes one sample;
* `InterestSet`: one of S slots that are denoised together and attend to each other; the clean set is made of clusters
  of the behaviours, the one to come among them (`clean_sets`).

Differs from the survey: it proposes no method. From DreamRec: negatives do count, in the ranking loss; clean vectors
are the current ones of a table in training, yet the denoising loss does not move the table, which could please it by
making all items alike. Noise of serving is a table of S rows, drawn once and saved with the model: a user's interests
follow from the history alone, and users differ by their histories alone. Under `dot` lengths of items are not
generated: directions are, all of one length.

B users, L behaviours, S samples, K interests, D width.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from baselines.errors import BadInput, require_number
from baselines.interests import InterestExtractor, Interests
from baselines.unit import unit
from diffusion_mi.clean_sets import clean_sets
from diffusion_mi.denoiser import SetDenoiser
from diffusion_mi.diffusion import Diffusion, Sampling, make_scheduler
from diffusion_mi.modes import Linkage, find_modes


class Posterior(InterestExtractor):
    """Modes of the density of the next item.

    Args:
        width: D.
        max_history: L.
        linkage: what clusters samples, given by whoever makes the extractor.
        n_samples: S, the samples of a user.
        max_distance: samples whose mean distance, 1 - cosine, is at most this are one interest; 0 = only equal ones, 2
            = all of them.
        sampler: how noise becomes a sample: DDIM, DPM-Solver++ or UniPC, all deterministic.
        n_steps: how many answers of the network a sample takes.
        guidance: of serving: 1 = as trained, above 1 = away from what is said without a history, 0 = that. Training
            draws at 1.
        temperature: what the noise that samples start from is multiplied by; 0 = none: one interest, without chance.
        prediction: what the network is asked for: the clean vector (`sample`), or `v_prediction`.
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

    noise: Tensor

    def __init__(
        self,
        width: int,
        max_history: int,
        linkage: Linkage,
        *,
        n_samples: int = 16,
        max_distance: float = 0.5,
        sampler: Literal["ddim", "dpm_solver", "unipc"] = "ddim",
        n_steps: int = 4,
        guidance: float = 1.0,
        temperature: float = 1.0,
        prediction: Literal["sample", "v_prediction"] = "sample",
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
        hidden_width = hidden_width or width
        if hidden_width % n_heads:
            raise BadInput(f"model.n_heads must divide the hidden width {hidden_width}, got {n_heads}.")
        self.linkage, self.max_distance, self.hide_history = linkage, max_distance, hide_history
        self.sampling = Sampling(sampler=sampler, n_steps=n_steps, guidance=guidance, temperature=temperature)
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
        )
        self.register_buffer("noise", torch.randn(n_samples, width))

    def forward(self, history: Tensor, history_mask: Tensor, target: Tensor | None = None) -> Interests:
        """See `InterestExtractor.forward`; without a target there is no denoising loss.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool.
            target: [B, D], the behaviour to come, of any length; it enters the denoising loss alone.
        """
        context = self.denoiser.encode(history, history_mask)
        noise = self.noise.expand(len(history), -1, -1)  # [B, S, D]
        if self.training:
            noise = torch.randn(noise.shape, dtype=noise.dtype, device=noise.device)
        guidance = 1.0 if self.training else self.sampling.guidance
        answer = self.diffusion.ask(self.denoiser, context, guidance)
        samples = unit(self.diffusion.sample(answer, noise, self.sampling))
        if self.training:
            vectors, mask = samples, torch.ones_like(samples[..., 0], dtype=torch.bool)
            log_share = samples.new_full(mask.shape, -math.log(samples.shape[1]))
        else:
            vectors, mask, log_share = find_modes(samples, self.linkage, self.max_distance)
        penalties = {}
        if self.training and target is not None:
            clean, noise = self.clean(history, history_mask, unit(target.detach()))
            t = torch.randint(self.diffusion.n_diffusion_steps, (len(history),), device=history.device)
            hidden = torch.rand(len(history), device=history.device) < self.hide_history
            knows = self.diffusion.ask(self.denoiser, context.without(hidden))
            penalties["denoising"] = self.diffusion.loss(knows, clean * self.denoiser.scaling_factor, noise, t)
        assignment = self.assigned(history, history_mask, vectors, mask)
        vectors = vectors * self.denoiser.scaling_factor
        return Interests(vectors, mask, log_share, assignment, penalties)

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

    def clean(self, history: Tensor, history_mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See `Posterior.clean`; the slots are the samples."""
        noise = torch.randn(len(history), *self.noise.shape, device=history.device)
        return clean_sets(history, history_mask, target, noise, self.linkage), noise
