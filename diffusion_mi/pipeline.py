"""A trained generator on its own: histories in, samples out; saved and loaded as diffusers does, from folders alone.

    folder/denoiser/   config.json, diffusion_pytorch_model.safetensors
    folder/scheduler/  scheduler_config.json

Two things that diffusers would let pass are errors here: a path that is no folder, for which it would ask a hub; and
weights that do not fit the network, which it would leave as they were.

B users, L behaviours, S samples, D width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from baselines.errors import BadInput
from diffusion_mi.denoiser import SetDenoiser
from diffusion_mi.diffusion import Diffusion, Sampling


class InterestPipeline:
    """Draws samples given histories.

    Args:
        denoiser: put to evaluation.
        scheduler: of its training.
    """

    def __init__(self, denoiser: SetDenoiser, scheduler: DDPMScheduler) -> None:
        self.denoiser = denoiser.eval()
        self.diffusion = Diffusion(scheduler)

    @torch.no_grad()
    def __call__(self, history: Tensor, history_mask: Tensor, noise: Tensor, sampling: Sampling) -> Tensor:
        """Draw samples of unit length, [B, S, D].

        Args:
            history: [B, L, D], of length `denoiser.scaling_factor`; history_mask: [B, L] bool.
            noise: [S, D] for all users alike, or [B, S, D]; normal draws.
            sampling: how; where it starts below T, from the latest S behaviours.
        """
        context = self.denoiser.encode(history, history_mask)
        noise = noise.expand(len(history), -1, -1)
        return self.diffusion.draw(self.denoiser, context, history, history_mask, noise, sampling)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the network and its schedule to `folder`, which is made if need be."""
        self.denoiser.save_pretrained(Path(folder) / "denoiser")
        self.diffusion.scheduler.save_pretrained(Path(folder) / "scheduler")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> InterestPipeline:
        """Read what `save_pretrained` wrote.

        Raises:
            BadInput: there is no such folder, or it holds something else, or weights that do not fit.
        """
        for part in ("denoiser", "scheduler"):
            if not (Path(folder) / part).is_dir():
                raise BadInput(
                    f"{folder} must be a folder that InterestPipeline.save_pretrained wrote; it has no folder "
                    f"'{part}'. Nothing is looked for elsewhere: check the path."
                )
        try:
            denoiser, about = SetDenoiser.from_pretrained(
                Path(folder) / "denoiser", local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
            )
            scheduler = DDPMScheduler.from_pretrained(Path(folder) / "scheduler", local_files_only=True)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"{folder}: the pipeline cannot be read ({reason}). Save it again.") from error
        amiss = {
            kind: names for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if (names := about[kind])
        }
        if amiss:
            told = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(map(str, amiss[kind]))}" for kind in amiss)
            raise BadInput(f"{folder}: the weights are not those of this network ({told[:300]}). Save it again.")
        return cls(denoiser, scheduler)
