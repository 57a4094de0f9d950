"""Does generating interests by diffusion cover the long tail better than extracting them, at no loss of accuracy?

Open question 5.6 of Li et al. (arXiv 2506.15284). Whoever adds noise gains coverage and loses accuracy, so that a point
proves nothing: each arm is swept along a knob of serving, and a generator's curve has to lie above those of
* its deterministic twins: the same network trained without noise (`*_twin`), and its own network asked without noise:
  the whole and its contrast without any samples (`posterior_whole_*`), one guided answer (`posterior_alone_*`), and the
  whole beside the behaviours themselves instead of what is made of them (`*_behaviours_*`); and of `beside`, where
  generated interests join those of `adaptive_sequence`: the same without samples (`beside_unsampled_*`), with the
  behaviours in the samples' place, and a plain network in the generator's (`beside_twin`);
* noise that generates nothing: Gaussian jitter of interests, a pass with dropout (`*_jitter`, `*_dropout`);
* what is popular, held back outright: every score loses a multiple of the log of its item's frequency (`*_penalty`);
* guidance without a generator: beside each extracted interest a second one, led away from the mean of what is popular
  as a generator's answer is from that to no history (`*_contrast`; as far as `beside` is and with more or less of the
  importance, `*_contrast_share`);
* re-ranking for variety: controllable, and a determinantal point process (`*_controllable`, `*_dpp`);
* diffusion as published, one generated item a user (`diffurec`, `dreamrec`, which cannot learn the bonus for items of
  the history that all other arms have; `diffusion_mi.extractor` says in what they differ from the papers).
These are put on the most accurate extractors, `adaptive_sequence` and one transformer vector (`sasrec`). What is not to
be less accurate than: these, `adaptive`, ComiRec-SA without and with the non-linear step, and SASRec trained at every
position. The frontier tells tail accuracy and tail coverage at equal recall. Where users return, what is new to them
(`recall@50:novel`) tells whether a gain is more than what they had. Arms that differ in serving alone share a training.
Beyond the curves: does quality depend on the number of steps (it should not: 4 within 1 % of 50), or of samples?

The settings of training are those of `adaptive`, with `--tuned` what its search found on the log, the same for all
trained arms; the latest 20 behaviours are read. The curves are as sparse as they are because every arm more makes each
of the tests over users stricter (Holm).

Command: `adaptive-mi study diffusion_long_tail --data D --tuned --seeds 3`. Cost: on amazon-beauty 40 CPU minutes a
seed, of which 20 are the trainings; what generates takes two to four minutes each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.settings import nest
from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import IN_CONTEXT, ONE_TRANSFORMER, brief

_REFERENCES = ("item_knn", "repeat_then_item_knn", "ease")
_TWIN = {"model": {"ranked": "whole", "whole_share": 1.0, "contrast": 1.0}, "loss": {"weights": {"denoising": 0.0}}}
_ONE_ITEM = {"n_samples": 1, "n_steps": 16, "start": 1.0, "whole_share": 0.0, "contrast": 1.0}
_ARMS: Mapping[str, Mapping[str, Any]] = {
    **{name: {"method": name} for name in _REFERENCES},
    **{name: {"method": name} for name in ("comirec_sa", "adaptive", "adaptive_sequence")},
    "comirec_sa_in_context": {"method": "comirec_sa", "scoring": IN_CONTEXT},
    "sasrec": ONE_TRANSFORMER,
    "sasrec_every": {"method": "sasrec", "training": {"positions": "every", "batch_size": 64}},
    "posterior": {"method": "diffusion_posterior"},
    "set": {"method": "diffusion_set"},
    "beside": {"method": "diffusion_beside"},
    "beside_twin": {
        "method": "diffusion_beside",
        "model": {"whole_share": 1.0, "contrast": 1.0},
        "loss": {"weights": {"denoising": 0.0}},
    },
    "posterior_twin": {"method": "diffusion_posterior", **_TWIN},
    "set_twin": {"method": "diffusion_set", **_TWIN},
    "diffurec": {
        "method": "diffusion_posterior",
        "model": {"ranked": "denoised", "hide_history": 0.0, "guidance": 1.0, "heard": 0.001, **_ONE_ITEM},
        "loss": {"weights": {"denoising": 0.0}},
    },
    "dreamrec": {
        "method": "diffusion_posterior",
        "model": {"ranked": "whole", "guidance": 3.0, **_ONE_ITEM},
        "loss": {"weights": {"denoising": 1.0, "softmax": 0.0}},
    },
}


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """A curve: an arm served with several values of a knob.

    Attributes:
        base: the arm; name: what is added to its name; axis: the knob, in words.
        knob: its dotted key; values: what it takes.
        start: the place of `base` itself on the curve; None = it is not on it.
        fixed: what else is otherwise in serving, by dotted key.
    """

    base: str
    name: str
    axis: str
    knob: str
    values: tuple[float, ...]
    start: float | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the curve is called."""
        return f"{self.base} {self.name}".replace("_", " ")

    @property
    def places(self) -> dict[str, float]:
        """Arm -> its place."""
        own = {} if self.start is None else {self.base: self.start}
        return own | {f"{self.base}_{self.name}_{value:g}": value for value in self.values}

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        """The arms that are not `base` itself."""
        found = {arm: value for arm, value in self.places.items() if arm != self.base}
        return {arm: {**_ARMS[self.base], **nest({**self.fixed, self.knob: value})} for arm, value in found.items()}


_BEHAVIOURS = {
    "start": 0.004,
    "n_steps": 1,
    "temperature": 0.0,
    "guidance": 1.0,
}  # so near the end nothing is generated
_ALONE = {"whole_share": 0.0, "contrast": 1.0, "start": 1.0, "n_steps": 1, "temperature": 0.0}


def _of_model(base: str, name: str, knob: str, values: tuple[float, ...], axis: str = "", **more: Any) -> _Sweep:
    """Sweep a knob of the method."""
    fixed = {f"serving.model.{other}": value for other, value in more.pop("fixed", {}).items()}
    return _Sweep(
        base=base, name=name, axis=axis or knob, knob=f"serving.model.{knob}", values=values, fixed=fixed, **more
    )


def _without_generating(base: str, n_copies: int) -> list[_Sweep]:
    """Noise that generates nothing."""
    fixed = {"serving.n_copies": n_copies}
    sizes, shares = (0.25, 0.5, 1.0, 1.5), (0.1, 0.3, 0.6)
    jitter: dict[str, Any] = {"axis": "size of the jitter", "knob": "serving.jitter", "values": sizes, "fixed": fixed}
    once = {"serving.n_passes": 1}  # several are averaged
    dropout: dict[str, Any] = {"axis": "dropout", "knob": "serving.dropout", "values": shares, "fixed": once}
    return [
        _Sweep(base=base, name="jitter", start=0.0, **jitter),
        _Sweep(base=base, name="dropout", start=0.0, **dropout),
    ]


def _held_back(base: str, values: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4), **more: Any) -> _Sweep:
    """What is popular, at a handicap."""
    return _Sweep(base=base, name="penalty", axis="penalty", knob="serving.popularity_penalty", values=values, **more)


def _led_away(base: str) -> _Sweep:
    """Guidance of what is extracted."""
    values = (1.5, 2.0, 3.0, 5.0)
    return _Sweep(base=base, name="contrast", axis="contrast", knob="serving.contrast", values=values, start=1.0)


def _led_away_in_part(base: str) -> _Sweep:
    """The same, as far and with as much of the importance as generated interests have."""
    values, fixed = (0.1, 0.3, 0.6, 0.9), {"serving.contrast": 6.0}
    knob = "serving.contrast_share"
    return _Sweep(base=base, name="contrast_share", axis="share", knob=knob, values=values, start=0.0, fixed=fixed)


def _reranked(base: str, kind: str, values: tuple[float, ...]) -> _Sweep:
    knob, fixed = "reranking.diversity_weight", {"reranking.kind": kind}
    return _Sweep(base=base, name=kind, axis="weight", knob=knob, values=values, start=0.0, fixed=fixed)


_SWEEPS = [
    _of_model("posterior", "contrast", "contrast", (1.0, 1.5, 2.0, 5.0), start=3.0),
    _of_model("set", "contrast", "contrast", (1.0, 1.5, 3.0, 5.0), start=2.0),
    *(
        _of_model(base, "behaviours", "contrast", (1.0, 1.5, 2.0, 3.0, 5.0), fixed=_BEHAVIOURS)
        for base in ("posterior", "set")
    ),
    _of_model("beside", "share", "generated_share", (0.1, 0.3, 0.5, 0.75, 0.9), "share", start=0.6),
    _of_model("beside", "behaviours", "generated_share", (0.1, 0.3, 0.6, 0.75, 0.9), "share", fixed=_BEHAVIOURS),
    _of_model(
        "beside", "unsampled", "generated_share", (0.1, 0.3, 0.6, 0.75, 0.9), "share", fixed={"whole_share": 1.0}
    ),
    _of_model("posterior", "whole", "contrast", (1.0, 1.5, 2.0, 3.0, 5.0), fixed={"whole_share": 1.0}),
    _of_model("posterior", "alone", "guidance", (1.25, 1.5, 2.0), fixed=_ALONE),
    _of_model("posterior", "guidance", "guidance", (1.0, 1.5, 3.0), start=2.0),
    _of_model("posterior", "start", "start", (0.2, 0.75, 1.0), start=0.5),
    _of_model("posterior", "temperature", "temperature", (0.0, 2.0), start=1.0),
    *(
        _of_model(base, "steps", "n_steps", (1, 2, 8, 16, 50), "steps", start=4)
        for base in ("beside", "posterior", "set")
    ),
    _of_model("posterior", "samples", "n_samples", (1, 4, 16, 32), "samples", start=8),
    *_without_generating("adaptive_sequence", n_copies=2),
    *_without_generating("sasrec", n_copies=8),
    *(_held_back(base, start=0.0) for base in ("adaptive_sequence", "sasrec")),
    _held_back("beside", (0.05, 0.1, 0.2), fixed={"serving.model.generated_share": 0.3}),
    _led_away("adaptive_sequence"),
    _led_away_in_part("adaptive_sequence"),
    _reranked("adaptive_sequence", "controllable", (0.005, 0.01, 0.02, 0.05, 0.2, 0.5)),
    _reranked("adaptive_sequence", "dpp", (0.05, 0.1, 0.2, 0.5)),
]
_CURVES = {sweep.label: sweep.places for sweep in _SWEEPS}
_AGAINST = (
    *("beside behaviours", "beside unsampled", "beside penalty", "posterior contrast", "posterior behaviours"),
    *("adaptive sequence contrast", "adaptive sequence contrast share"),
    *(f"adaptive sequence {name}" for name in ("penalty", "jitter", "dropout", "controllable", "dpp")),
)
_PANELS = {
    "generated interests beside extracted ones": (
        *("beside share", "beside behaviours", "beside unsampled", "adaptive sequence contrast share"),
        *("adaptive sequence contrast", "adaptive sequence penalty", "beside_twin", "adaptive"),
    ),
    "noise and re-ranking": (
        "beside share",
        *(f"adaptive sequence {name}" for name in ("jitter", "dropout", "controllable", "dpp", "penalty")),
    ),
    "generated interests alone": (
        *("posterior contrast", "posterior behaviours", "posterior whole", "posterior alone", "posterior guidance"),
        *("posterior temperature", "adaptive sequence penalty", "posterior_twin"),
    ),
    "a set, and as published": (
        *("set contrast", "set behaviours", "sasrec penalty", "set_twin", "diffurec", "dreamrec", "sasrec_every"),
        *("comirec_sa", "comirec_sa_in_context"),
    ),
}
_TAIL = ("recall@50:tail80", "tail_coverage@50:tail80")
_VARIETY = (
    "coverage@50", "gini@50", "novelty@50", "held_out_coverage@50", "live_k", "mean_pairwise_cosine", "effective_rank",
)  # fmt: skip

STUDY = StudyDefinition(
    name="diffusion_long_tail",
    question="Does generating interests by diffusion cover the long tail better than extracting them, as accurately?",
    columns=("recall@20", "recall@50", "recall@50:novel", *_TAIL, *_VARIETY),
    arms={**_ARMS, **{name: arm for sweep in _SWEEPS for name, arm in sweep.arms.items()}},
    baseline="adaptive_sequence",
    rivals=("adaptive_sequence", "posterior_twin"),
    judged_by=("recall@50", *_TAIL),
    x="contrast",
    curves=_CURVES,
    x_of={sweep.label: sweep.axis for sweep in _SWEEPS if sweep.axis != "contrast"},
    plots=(
        *(("recall@50", metric) for metric in reversed(_TAIL)),
        *((metric, axis) for axis in ("steps", "samples") for metric in ("recall@50", _TAIL[0])),
    ),
    panels=_PANELS,
    floor=0.85,
    frontiers=(("recall@50", {name: tuple(_CURVES[name]) for name in ("beside share", *_AGAINST)}),),
    choices={
        "deterministic": (
            *("comirec_sa", "comirec_sa_in_context", "sasrec", "sasrec_every", "adaptive", "adaptive_sequence"),
        ),
    },
    own=("beside", "posterior", "set"),
    points={name: tuple(_CURVES[name]) for name in ("beside share", *_AGAINST)},
    points_by=_TAIL[0],
    alike="adaptive",
    common=brief(),
    references=_REFERENCES,
)
