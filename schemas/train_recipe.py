"""The recipe of `train run`: which pictures, which model, how long, in what order."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.steps import Settings


class Data(Settings):
    """Which pictures with which label, and how a picture becomes an input."""

    label: str = Field(default="", coerce_numbers_to_str=True)
    """Label column, without `label_` (`fracture`). Empty: the version's only one."""
    positive: str = Field(default="", coerce_numbers_to_str=True)
    """Value of the label that counts as positive. Empty: true, 1 or "1"."""
    size: tuple[int, int] = (341, 512)
    """Columns and rows of an input, as the thesis writes it. The width comes first."""
    fit: Literal["pad", "pad_largest", "stretch"] = "pad"
    """`pad`: black borders to the input's aspect, then resize; `pad_largest`: black borders to the largest
    picture of the version first (the thesis: small films become tiny); `stretch`: resize as it is."""
    folds: int = Field(default=0, ge=0, le=100)
    """Patient-level cross-validation in so many folds over train and val. 0: the version's own split."""
    fold: int = Field(default=0, ge=0)
    """Which fold is the validation set."""
    max_views: int = Field(default=8, ge=1)
    """Views of a study that a training step looks at, drawn anew each epoch where there are more."""

    @field_validator("label", "positive", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        return str(value).lower() if isinstance(value, bool) else value

    @field_validator("size")
    @classmethod
    def _sides(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 16 or max(size) > 8192:
            raise ValueError(f"`data.size` must have sides of 16 to 8192 pixels, got {size[0]} x {size[1]}")
        return size

    @model_validator(mode="after")
    def _fold_there(self) -> Self:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(
                f"`data.fold` must be below `data.folds`, and two folds the least; got {self.fold} of {self.folds}"
            )
        return self


class Augment(Settings):
    """What happens to a training picture, each time anew. Validation and test see the whole picture."""

    crop: float = Field(default=0.9, gt=0, le=1)
    """Smallest part of the picture that a random crop keeps; 1 crops nothing."""
    crop_of: Literal["side", "area"] = "side"
    """Whether `crop` is a share of the sides or of the area. The thesis does not say."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Chance of a mirror image."""
    invert: float = Field(default=0.0, ge=0, le=1)
    """Chance of turning the greys."""
    rotate_deg: float = Field(default=0.0, ge=0, le=180)
    """Largest turn either way, in degrees."""
    intensity: float = Field(default=0.0, ge=0, lt=1)
    """Largest change of brightness and contrast, as a share."""


class Sampling(Settings):
    """Which items an epoch shows."""

    balance: Literal["equal", "weighted", "none"] = "equal"
    """`equal`: as many of each class, drawn without replacement; `weighted`: the thesis' rule (40.8 % of its
    fractures, not 50 %); `none`: every item once."""


class _Pooled(Settings):
    pool: Literal["max", "mean", "lse", "attention"] = "max"
    """How the views of a study become one: over maps (max, mean, log-sum-exp), or by learned weights."""


class RxModel(_Pooled):
    """The thesis' own network: blocks of convolution 3x3, max pool 2, ReLU."""

    kind: Literal["rx"] = "rx"
    """Which family."""
    blocks: int = Field(default=4, ge=1, le=12)
    """Number of blocks."""
    channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(16, 32, 64, 128), min_length=1, max_length=12)
    """Channels of each block; the last one is repeated when there are fewer than blocks."""
    padding: Literal[0, 1] = 1
    """Padding of each convolution. The thesis draws 0."""
    norm: Literal["none", "batch", "group"] = "batch"
    """Normalisation after each convolution. The thesis mentions none."""
    init: Literal["he", "default"] = "he"
    """`default` is PyTorch's, which gives every film the same logit."""
    head: Literal["max", "average", "fc"] = "max"
    """`max`, `average`: global pooling and one linear layer; `fc`: the thesis' adaptive average pool to a grid of
    4x4 and three fully connected layers."""
    grid: int = Field(default=4, ge=1, le=32)
    """`head = "fc"`: side of the grid."""


class ResNetModel(_Pooled):
    """ResNet18 of torchvision with one input channel."""

    kind: Literal["resnet18"] = "resnet18"
    """Which family."""
    weights: str = ""
    """A file of pre-trained weights (a torchvision state dict). Empty: random."""


class TimmModel(_Pooled):
    """Any classifier of the timm library, by its name, with one input channel."""

    kind: Literal["timm"] = "timm"
    """Which family."""
    name: str
    """timm's name, e.g. `resnet50` or `vit_small_patch16_224`."""
    weights: str = ""
    """A file of pre-trained weights. Empty: random. Nothing is ever downloaded."""


Model = Annotated[RxModel | ResNetModel | TimmModel, Field(discriminator="kind")]


class Init(Settings):
    """Start from another run's weights."""

    run: str = ""
    """A run folder; its best checkpoint is taken. Empty: start fresh."""
    what: Literal["features", "all"] = "features"
    """`features`: the classifier starts fresh; `all`: it comes along."""
    frozen_epochs: int = Field(default=0, ge=-1)
    """Epochs of the main stage for which the features stay as they were, batch statistics too; -1: for good."""


class Optim(Settings):
    """The optimiser."""

    name: Literal["adam", "adamw", "amsgrad", "sgd"] = "adam"
    """`amsgrad` is Adam with that switch; `sgd` has momentum."""
    lr: float = Field(default=1e-3, gt=0, le=10)
    """Learning rate at its highest."""
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    """Weight decay (decoupled for adamw); never on biases and norm layers."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """`sgd`: momentum."""


class Schedule(Settings):
    """How the learning rate changes, per step."""

    name: Literal["constant", "cosine", "step"] = "cosine"
    """`cosine` falls to nothing at the last step; `step` divides by ten after two thirds."""
    warmup_steps: int = Field(default=75, ge=0)
    """Steps in which the rate rises from nothing; never more than a third of the stage's."""
    wait_for_auc: float = Field(default=0.6, ge=0, lt=1)
    """The rate falls only once the validation AUC of studies has exceeded this, and what a coin reaches on so many
    studies by luck: a run that has not left chance would be frozen there. 0: never waits."""
    wait_epochs: int = Field(default=10, ge=0)
    """Epochs before that are not counted, up to so many: every run sits at chance for a while, by luck a long one."""


class Loop(Settings):
    """How an epoch is walked through."""

    batch: int = Field(default=32, ge=1)
    """Items (pictures, or studies) a step, over all processes together."""
    accumulate: int = Field(default=1, ge=1)
    """Parts in which a batch is computed, to save memory."""
    clip_norm: float = Field(default=0.0, ge=0)
    """Largest norm of the gradient; 0: not clipped."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Half precision. `auto`: bf16 on a GPU that has it, fp16 on an older one, off on a CPU."""
    compile: bool = False
    """Compile the model (torch.compile)."""
    channels_last: bool = True
    """Memory order of the pictures: quicker on most machines."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of a running average of the weights, which is then what is validated and kept; 0: none."""
    select: Literal["auc", "loss"] = "auc"
    """By which validation figure the best epoch is chosen: the studies' AUC (of single views the highest) or the loss.
    Never by accuracy: its threshold drifts."""
    patience: int = Field(default=0, ge=0)
    """Stop after so many epochs without a better one; 0: never."""
    checkpoint_minutes: float = Field(default=15.0, gt=0)
    """A checkpoint is written at the end of every epoch, and within it after so many minutes."""
    workers: int = Field(default=0, ge=0)
    """Processes that prepare batches; 0: in the training process. The order is the same for any number."""


class First(Settings):
    """A stage before the main one, for models of whole studies: the same network on single views."""

    epochs: int = Field(ge=1)
    """Epochs of the first stage."""
    batch: int = Field(default=24, ge=1)
    """Pictures a step."""
    lr: float = Field(default=2e-3, gt=0, le=10)
    """Learning rate of the first stage."""
    warmup_steps: int = Field(default=75, ge=0)
    """Steps in which its rate rises from nothing."""


class TrainRecipe(Settings):
    """A recipe: strict TOML, every problem reported at once."""

    name: str = Field(default="train", pattern=r"^\w[\w.-]*$")
    """What the recipe is called in the run."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides initial weights, order and augmentation."""
    epochs: int = Field(default=10, ge=1)
    """Epochs of the (main) stage."""
    views: Literal["one", "all"] = "one"
    """`one`: an item is a picture with its study's label; `all`: an item is a study with all its views."""
    data: Data = Data()
    augment: Augment = Augment()
    sampling: Sampling = Sampling()
    model: Model = RxModel()
    init: Init = Init()
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    loop: Loop = Loop()
    first: First | None = None
    """Only with `views = "all"`."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.first is not None and self.views == "one":
            raise ValueError('[first] is a stage before `views = "all"`, but `views` is "one"')
        if self.first is not None and self.init.run:
            raise ValueError("[first] trains what [init] would bring: only one of them")
        if self.loop.batch % self.loop.accumulate:
            raise ValueError(f"`loop.batch` {self.loop.batch} does not divide into {self.loop.accumulate} parts")
        return self
