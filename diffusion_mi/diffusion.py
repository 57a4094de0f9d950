"""Noise, the loss of what is to undo it, and the way back from noise alone: mathematics, and no network.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (NeurIPS 2020), with a_t the share of the variance left:
    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e,   e ~ N(0, I)                                        (eq. 4)
    loss = | answer - what was asked for |^2,  averaged over coordinates                        (eq. 14)
where what is asked for is x_0 itself (`sample`), or v = sqrt(a_t) e - sqrt(1 - a_t) x_0 (`v_prediction`; Salimans and
Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022). The way back is deterministic, so that
x_T decides the sample: DDIM with eta = 0 (Song, Meng and Ermon, ICLR 2021), DPM-Solver++ of second order (Lu et al.,
2022), or UniPC (Zhao et al., NeurIPS 2023), all with the schedule of training.
    answer = null + guidance * (answer of the history - null)                (Ho and Salimans, eq. 6; guidance = 1 + w)

Differs from the papers:
* e is never what is asked for: at t = T next to nothing is left of x_0, and e over that is an infinity;
* the cosine schedule (Nichol and Dhariwal, ICML 2021), in which x_T is noise and nothing else; steps are spaced so that
  the first is T (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", WACV 2024);
* nothing is clipped: vectors are no pixels;
* DDIM is run as DPM-Solver++ of first order, which it is (Lu et al., section 4). diffusers' own DDIMScheduler takes
  steps of one length, and where they do not divide T it ends with noise left;
* x_T may be drawn narrower or wider than it was in training (`temperature`); 0 = the noise-free answer;
* the way back may begin before T, at something known with the noise of that t (`start`; Meng et al., "SDEdit", ICLR
  2022, section 3).

B users, K slots, D width, T diffusion steps.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from baselines.errors import BadInput, require_number, unknown_name
from baselines.unit import unit
from diffusion_mi.denoiser import Context, SetDenoiser
from diffusion_mi.starts import latest

Prediction = Literal["sample", "v_prediction"]
Sampler = Literal["ddim", "dpm_solver", "unipc"]

Answer = Callable[[Tensor, Tensor], Tensor]
"""x_t [B, K, D] and t, [] or [B] -> what was asked for, [B, K, D]."""

_SAMPLERS: dict[str, tuple[Any, int]] = {
    "ddim": (DPMSolverMultistepScheduler, 1),
    "dpm_solver": (DPMSolverMultistepScheduler, 2),
    "unipc": (UniPCMultistepScheduler, 2),
}
"""Sampler -> its diffusers scheduler and order."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How samples are drawn. None of this is trained: it may be changed afterwards.

    Attributes:
        sampler: which way back.
        n_steps: how many answers a sample takes; twice as many where `guidance` is neither 0 nor 1.
        guidance: 1 = the answers to the history, 0 = to none, above 1 = away from those to none.
        temperature: what the noise is multiplied by; 0 = no noise.
        start: where the way back begins, as a share of T: 1 = at noise alone, below 1 at what is known, noised. It is
            rounded to `n_steps` over a whole number: .75 with 4 steps is 4 / 5.
    """

    sampler: Sampler = "ddim"
    n_steps: int = 4
    guidance: float = 1.0
    temperature: float = 1.0
    start: float = 1.0

    def __post_init__(self) -> None:
        if self.sampler not in _SAMPLERS:
            raise unknown_name("sampler", self.sampler, _SAMPLERS)
        require_number("model.n_steps", self.n_steps, at_least=1)
        require_number("model.guidance", self.guidance, at_least=0)
        require_number("model.temperature", self.temperature, at_least=0)
        require_number("model.start", self.start, above=0)
        if self.start > 1:
            raise BadInput(f"model.start must be at most 1, got {self.start}.")

    @property
    def n_whole(self) -> int:
        """How many steps of this length there are from T on, of which the last `n_steps` are taken."""
        return round(self.n_steps / self.start)


def make_scheduler(prediction: Prediction = "sample", n_diffusion_steps: int = 1000) -> DDPMScheduler:
    """Return the noise schedule of training, T = `n_diffusion_steps`; samplers are built from its configuration."""
    if prediction not in get_args(Prediction):
        raise unknown_name("model.prediction", prediction, get_args(Prediction))
    require_number("model.n_diffusion_steps", n_diffusion_steps, at_least=1)
    return DDPMScheduler(
        num_train_timesteps=n_diffusion_steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction,
        clip_sample=False,
        timestep_spacing="trailing",
    )


class Diffusion:
    """A noise schedule, and what is done with it.

    Args:
        scheduler: of training (`make_scheduler`).
    """

    def __init__(self, scheduler: DDPMScheduler) -> None:
        self.scheduler = scheduler
        self.n_diffusion_steps: int = scheduler.config.num_train_timesteps
        self.asks_for_v: bool = scheduler.config.prediction_type == "v_prediction"
        self._samplers: dict[str, Any] = {}

    def loss(self, answer: Answer, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Mean squared error of the answer, a scalar, for clean and noise [B, K, D] and t [B] int64."""
        asked = self.scheduler.get_velocity(clean, noise, t) if self.asks_for_v else clean
        error: Tensor = torch.nn.functional.mse_loss(answer(self.noised(clean, noise, t), t), asked)
        return error

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t of x_0 and e [B, K, D], at t [B] int64."""
        x_t: Tensor = self.scheduler.add_noise(clean, noise, t)
        return x_t

    def guess(self, answer: Answer, x_t: Tensor, t: Tensor) -> Tensor:
        """What was clean, [B, K, D], by one answer to x_t, at t [B] or [] int64."""
        said = answer(x_t, t)
        if not self.asks_for_v:
            return said
        left: Tensor = self.scheduler.alphas_cumprod.to(x_t.device)[t].reshape(-1, 1, 1)
        return left.sqrt() * x_t - (1 - left).sqrt() * said

    def sample(self, answer: Answer, noise: Tensor, sampling: Sampling, known: Tensor | None = None) -> Tensor:
        """Go from noise [B, K, D], of variance 1, to samples [B, K, D].

        The gradient runs through the last answer alone: what led to its question is taken as given.

        Args:
            answer: to be asked.
            noise: what samples start from.
            sampling: the way back.
            known: [B, K, D], to which the noise is added where `sampling.start` is below 1.
        """
        steps = self.sampler(sampling)
        timesteps = steps.timesteps[-sampling.n_steps :]
        x_t = noise * sampling.temperature
        if sampling.start < 1:
            assert known is not None, "a way that begins before T begins at something known"
            x_t = self.noised(known.detach(), x_t, timesteps[:1].expand(len(noise)))
        for t in timesteps[:-1]:
            with torch.no_grad():
                x_t = steps.step(answer(x_t, t), t, x_t).prev_sample
        t = timesteps[-1]
        x_0: Tensor = steps.step(answer(x_t, t), t, x_t).prev_sample
        return x_0

    def draw(
        self,
        denoiser: SetDenoiser,
        context: Context,
        history: Tensor,
        history_mask: Tensor,
        noise: Tensor,
        sampling: Sampling,
    ) -> Tensor:
        """Draw samples of unit length, [B, S, D], from noise [B, S, D]; below T, from the latest S behaviours.

        Args:
            denoiser: asked, guided as `sampling` says.
            context: of `history` [B, L, D] and `history_mask` [B, L].
            history, history_mask: the behaviours.
            noise: normal draws.
            sampling: the way back.
        """
        known = None
        if sampling.start < 1:
            known = latest(history, history_mask, noise.shape[1]) * denoiser.scaling_factor
        answer = self.ask(denoiser, context, sampling.guidance)
        return unit(self.sample(answer, noise, sampling, known))

    def sampler(self, sampling: Sampling) -> Any:
        """Return the diffusers scheduler of `sampling`, at the start of its way."""
        if sampling.n_whole > self.n_diffusion_steps:
            most = int(self.n_diffusion_steps * sampling.start)
            raise BadInput(f"model.n_steps must be at most {most}, what T has below 'start', got {sampling.n_steps}.")
        if sampling.sampler not in self._samplers:  # making one takes longer than a step
            scheduler, order = _SAMPLERS[sampling.sampler]
            self._samplers[sampling.sampler] = scheduler.from_config(self.scheduler.config, solver_order=order)
        steps = copy(self._samplers[sampling.sampler])  # it remembers answers, and with them how they came about
        steps.set_timesteps(sampling.n_whole)
        steps.set_begin_index(sampling.n_whole - sampling.n_steps)
        return steps

    def ask(self, denoiser: SetDenoiser, context: Context, guidance: float = 1.0) -> Answer:
        """Make a denoiser that knows the users one that answers, guided if `guidance` is not 1.

        The network says a clean vector in its own manner; where v is asked for, minus that is meant, which at t = T is
        the same.
        """
        null = context.null if guidance != 1 else None

        def answer(x_t: Tensor, t: Tensor) -> Tensor:
            t = t.to(x_t.device)
            said: Tensor = denoiser(x_t, t, context if guidance or null is None else null)
            if null is not None and guidance:
                of_null = denoiser(x_t, t, null)
                said = of_null + guidance * (said - of_null)
            return -said if self.asks_for_v else said

        return answer
