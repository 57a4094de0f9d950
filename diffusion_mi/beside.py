"""Generated interests beside extracted ones: what an extractor finds keeps its accuracy, what is generated adds to it.

A generator that has to be the whole model pays for its variety in accuracy. Here it need not:

    1. an extractor's interests have one part of the importance, and what `Posterior` serves (its whole, the contrast of
       it, the modes of its samples) has the other, `generated_share`;
    2. in training the ranking loss falls on the extractor's interests and the generator's whole together; the share of
       the latter, `trained_share`, had better be small, so that the extractor learns as it does alone. The denoising
       loss is the generator's own. Both read, and train, one item table;
    3. so the share in serving can be swept: from next to none, the extractor, to almost all, the generator.

Differs from the survey (Li et al., arXiv 2506.15284, section 5.6): it proposes no method.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.errors import require_number, unknown_name
from baselines.interests import InterestExtractor, Interests, log_shares
from diffusion_mi.extractor import Posterior
from diffusion_mi.modes import Linkage


class GeneratedBeside(InterestExtractor):
    """Interests of an extractor, and generated ones beside them.

    Args:
        width: D.
        max_history: L.
        linkage: what clusters samples; extractor: the class of what finds the other interests. Both are given by
            whoever makes this.
        extracted: knobs of the extractor.
        generated_share: the share of the importance that generated interests have in serving, above 0 and below 1.
        trained_share: the share that the generator's whole has in training.
        whole_share: as all following of `Posterior`: the whole's share among the generated interests.
        contrast: guidance of a second whole; 1 = there is none.
        n_samples: S, samples of a user.
        max_distance: samples whose mean distance is at most this are one interest.
        sampler: how noise becomes a sample.
        n_steps: answers of the network to a sample.
        guidance: of samples, in serving.
        temperature: what noise is multiplied by.
        start: how much of the way back is gone, as a share of T; below 1 it begins at the behaviours.
        hide_history: probability with which the denoising loss hides the history.
    """

    reads_undropped = True
    reads_target = True

    def __init__(
        self,
        width: int,
        max_history: int,
        linkage: Linkage,
        extractor: Callable[..., InterestExtractor],
        *,
        extracted: Mapping[str, Any] = {},
        generated_share: float = 0.6,
        trained_share: float = 0.3,
        whole_share: float = 0.7,
        contrast: float = 6.0,
        n_samples: int = 8,
        max_distance: float = 0.5,
        sampler: Literal["ddim", "dpm_solver", "unipc"] = "ddim",
        n_steps: int = 4,
        guidance: float = 2.0,
        temperature: float = 1.0,
        start: float = 0.5,
        hide_history: float = 0.1,
    ) -> None:
        super().__init__()
        require_number("model.generated_share", generated_share, above=0, below=1)
        require_number("model.trained_share", trained_share, above=0, below=1)
        self.generated_share, self.trained_share = generated_share, trained_share
        known = set(inspect.signature(extractor).parameters) - {"width", "max_history"}
        for name in extracted:
            if name not in known:
                raise unknown_name("key of model.extracted", name, known)
        self.extractor = extractor(width, max_history, **extracted)
        self.generator = Posterior(
            width,
            max_history,
            linkage,
            whole_share=whole_share,
            contrast=contrast,
            n_samples=n_samples,
            max_distance=max_distance,
            sampler=sampler,
            n_steps=n_steps,
            guidance=guidance,
            temperature=temperature,
            start=start,
            hide_history=hide_history,
        )

    def forward(
        self, history: Tensor, history_mask: Tensor, undropped: Tensor | None = None, target: Tensor | None = None
    ) -> Interests:
        """See `InterestExtractor.forward`; behaviours are those of the extracted interests.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool.
            undropped: [B, L, D], for an extractor that reads it.
            target: [B, D], the behaviour to come, for the denoising loss.
        """
        more = {"undropped": undropped} if self.extractor.reads_undropped else {}
        found: Interests = self.extractor(history, history_mask, **more)
        made: Interests = self.generator(history, history_mask, target)
        share = self.trained_share if self.training else self.generated_share
        parts = ((found, 1 - share), (made, share))
        log_weight = torch.cat([log_shares(one.log_weight, one.mask) + math.log(of_it) for one, of_it in parts], 1)
        mask = torch.cat([found.mask, made.mask], 1)
        return Interests(
            vectors=torch.cat([found.vectors, made.vectors], 1),
            mask=mask,
            log_weight=log_weight.masked_fill(~mask, 0),
            assignment=F.pad(found.assignment, (0, made.mask.shape[1])),
            penalties={**found.penalties, **made.penalties},
            notes=found.notes,
        )
