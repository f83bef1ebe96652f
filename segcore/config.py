"""What a dataset, a recipe, a run and a study are: frozen, validated, one line of documentation a field.

Forms and the command line take their help texts and bounds from here, so a rule is written once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from segcore.decisions import ClassInfo, Decision, Meaning, replay
from segcore.errors import ConfigError
from segcore.frozen import Config

__all__ = [
    "IGNORE_INDEX",
    "NAME_PATTERN",
    "RECIPES",
    "ClassInfo",
    "Config",
    "DatasetConfig",
    "Name",
    "Recipe",
    "RunConfig",
    "StudyConfig",
    "Weights",
    "check_name",
    "run_name",
]

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
IGNORE_INDEX = 255
"""Label of pixels that count nowhere: neither in the loss nor in any score."""

Weights = Literal["pretrained", "none"]


def check_name(value: str) -> str:
    """Return `value` if it can name a directory safely on every system, else raise `ValueError`."""
    if not NAME_PATTERN.fullmatch(value) or value.endswith("."):
        raise ValueError(
            f"{value!r} is no usable name: use 1-80 letters, digits, '.', '_' and '-', "
            "starting with a letter or a digit"
        )
    return value


Name = Annotated[str, AfterValidator(check_name)]


class DatasetConfig(Config):
    """Where a dataset's files are and how its masks are read. Sources are never modified."""

    name: Name = Field(description="What the dataset is called here.")
    images: Path = Field(description="Folder of the images; searched with its sub-folders.")
    masks: Path = Field(description="Folder of the masks, paired with the images by file stem.")
    classes: tuple[ClassInfo, ...] = Field(description="The class table; row i is the class of value i in index masks.")
    group_regex: str | None = Field(
        None,
        description="Regular expression on the stem, or with image_regex on the path; its first group (or whole match) "
        "names the image's scene.",
    )
    group_by_folder: bool = Field(False, description="The image's parent folder names its scene.")
    groups_given: dict[str, str] = Field(
        default_factory=dict,
        description="The scene of single images, by name; comes before all else that names scenes.",
    )
    groups_from: str = Field("", description="Where the scenes given came from, in words.")
    image_regex: str | None = Field(
        None,
        description="Regular expression that matches the whole path of an image below its folder; what its groups "
        "capture tells which mask is its own.",
    )
    mask_regex: str | None = Field(
        None, description="The same for masks: image and mask belong together where the captured groups are equal."
    )
    layout: str | None = Field(None, description="The known layout of folders that was recognised, if one was.")
    synthetic: bool = Field(False, description="Generated, not photographed.")
    decisions: tuple[Decision, ...] = Field(
        (), description="What was decided about images and classes, in order; the files stay as they are."
    )

    @field_validator("group_regex", "image_regex", "mask_regex")
    @classmethod
    def _check_regex(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [info.name for info in self.classes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"class names must differ; repeated: {', '.join(repeated)}")
        if len(self.classes) > IGNORE_INDEX:
            raise ValueError(f"{len(self.classes)} classes, at most {IGNORE_INDEX} are possible")
        if self.group_regex is not None and self.group_by_folder:
            raise ValueError("group either by regular expression or by folder, not both")
        _check_pair_regexes(self.image_regex, self.mask_regex)
        try:
            replay(self.classes, self.decisions)
        except ConfigError as error:
            raise ValueError(str(error).removesuffix(".")) from error
        return self

    @property
    def meaning(self) -> Meaning:
        """What the masks mean after all decisions."""
        return replay(self.classes, self.decisions)

    @property
    def trained_classes(self) -> tuple[ClassInfo, ...]:
        """The classes that are learnt and scored after all decisions: label i of prepared masks is entry i."""
        return self.meaning.trained


def _check_pair_regexes(image: str | None, mask: str | None) -> None:
    """Refuse a pair of sound expressions that cannot tell which mask belongs to which image."""
    if (image is None) != (mask is None):
        raise ValueError("image_regex and mask_regex go together: give both or neither")
    if image is not None and mask is not None:
        groups = re.compile(image).groups, re.compile(mask).groups
        if groups[0] != groups[1] or groups[0] == 0:
            raise ValueError(
                "image_regex and mask_regex must capture as many groups, at least one; put what an image and its mask "
                f"have in common into brackets ({image!r} has {groups[0]}, {mask!r} has {groups[1]})"
            )


class Recipe(Config):
    """Everything about training but the backbone and the seed."""

    name: str = Field("default", description="What the recipe is called.")
    epochs: int = Field(30, ge=1, le=10_000, description="How many times training goes through the images.")
    geometry: Literal["resize", "crop"] = Field(
        "resize",
        description="Resize whole images to the image size, or cut random squares of that size at native scale.",
    )
    image_size: int = Field(
        256,
        ge=32,
        le=2048,
        multiple_of=32,
        description="Side in pixels of what the network sees: the resized image, or the crop; a multiple of 32.",
    )
    crops_per_image: int = Field(
        4, ge=1, le=1024, description="Random crops that an epoch takes from each training image; used with crop only."
    )
    batch_size: int = Field(8, ge=2, le=1024, description="Images a training step averages over.")
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="AdamW decouples weight decay from the step.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Highest learning rate of decoder and head.")
    encoder_lr_factor: float = Field(
        0.1, gt=0, le=1, description="A pretrained encoder learns at this share of the learning rate."
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, description="Decay of weights; norms and biases are spared.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="How the learning rate falls after warm-up.")
    warmup: float = Field(0.05, ge=0, le=0.5, description="Share of all steps over which the learning rate rises.")
    loss: Literal["ce+dice", "ce"] = Field(
        "ce+dice", description="Cross-entropy, with Dice beside it for rare classes."
    )
    augmentation: Literal["standard", "none"] = Field(
        "standard", description="Flips, rotations, scale and colour, as suit images taken from above."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the arithmetic; auto measures what is fastest here, once for the study. bf16 and "
        "fp16 are slow on hardware without units for them.",
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="Order of the numbers in memory; auto measures what is fastest here, once for the study."
    )
    gpus_per_run: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs of one node that train a run together, on a cluster. They share each batch, so that batch "
        "size and learning rate mean what they always do; batch norm alone looks at each GPU's share by itself.",
    )

    @field_validator("gpus_per_run")
    @classmethod
    def _check_shares(cls, value: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_size")
        if batch is not None and batch < 2 * value:
            raise ValueError(
                f"a batch of {batch} cannot be shared by {value} GPUs, as each needs 2 images of it: set the batch "
                f"size to {2 * value} or more"
            )
        return value

    @classmethod
    def named(cls, name: str, **changes: Any) -> Recipe:
        """Return the recipe called `name` with `changes` applied.

        Raises:
            ConfigError: no such recipe, or a change that a field does not allow.
        """
        if name not in RECIPES:
            raise ConfigError(f"No recipe is called {name!r}; there are {', '.join(RECIPES)}.", field="recipe")
        changes = {key: value for key, value in changes.items() if value is not None}
        return cls(**{**RECIPES[name], **changes, "name": name})


RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    # What the notebook this project grew out of did, so that its comparison can be repeated.
    "notebook": {
        "epochs": 100,
        "image_size": 128,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "encoder_lr_factor": 1.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "loss": "ce",
        "augmentation": "none",
    },
}


class RunConfig(Config):
    """One training run, complete enough to rebuild it anywhere."""

    study: Name = Field(description="The study it belongs to.")
    dataset: DatasetConfig = Field(description="The data, as it was when the run was created.")
    dataset_fingerprint: str = Field(description="Hash of the dataset's files and class table.")
    split_fingerprint: str = Field(
        description="Hash of its split, or of its fold's; the split itself stands in the study's split.json."
    )
    recipe: Recipe = Field(description="Everything about training but the backbone and the seed.")
    decoder: str = Field("unet", description="What turns the backbone's features into a mask.")
    encoder: str = Field(description="The backbone: a timm name, with its weights tag when pretrained.")
    weights: Weights = Field("pretrained", description="Start from pretrained weights, or from scratch.")
    weights_file: Path | None = Field(
        None, description="Local file in which the pretrained weights were found at the launch."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random in the run.")
    fold: int | None = Field(None, ge=0, description="Which of the study's folds it is judged on; none without folds.")
    folds: int = Field(0, ge=0, description="How many folds the study has; 0 where it has one split.")

    @property
    def name(self) -> str:
        """Directory name of the run inside its study."""
        return run_name(self.encoder, self.weights, self.seed, self.fold)

    @property
    def repetition(self) -> str:
        """What tells the run from the others of its contender: "seed 0", "seed 0, fold 2 of 3"."""
        return f"seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold + 1} of {self.folds}")

    @property
    def contender(self) -> str:
        """Runs of one study with the same contender differ in their seed and fold alone."""
        return self.encoder if self.weights == "pretrained" else f"{self.encoder} (scratch)"


def run_name(encoder: str, weights: Weights, seed: int, fold: int | None = None) -> str:
    """Return what a run is called inside its study."""
    scratch, part = "" if weights == "pretrained" else "-scratch", "" if fold is None else f"-fold{fold}"
    return f"{encoder}{scratch}-seed{seed}{part}"


class StudyConfig(Config):
    """What is asked for when a study is launched: every backbone with every seed."""

    name: Name = Field(description="What the study is called; launching under an existing name adds runs to it.")
    dataset: Name = Field(description="The dataset to train on.")
    encoders: tuple[str, ...] = Field(min_length=1, description="The backbones to compare, as timm names.")
    weights: Weights = Field("pretrained", description="Start from pretrained weights, or from scratch.")
    decoder: str = Field("unet", description="What turns the backbones' features into a mask.")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        (0,), min_length=1, description="One run of every backbone for each seed; 3 or more show how sure a result is."
    )
    folds: int = Field(
        0,
        ge=0,
        le=20,
        description="Judge on k parts in turn, training on the others each time, so that every image is judged once; 0 "
        "for the dataset's one split.",
    )
    racing: bool = Field(
        False,
        description="Stop backbones early that are clearly behind, so that the best is found for less training.",
    )
    recipe: Recipe = Field(
        default_factory=Recipe, description="Everything about training but the backbone and the seed."
    )

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0 or at least 2, not 1: one fold leaves nothing to train on")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field, values in (("encoders", self.encoders), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must differ, got {', '.join(map(str, values))}")
        return self

    @property
    def grid(self) -> list[tuple[int, int | None, str]]:
        """(seed, fold, encoder) of every run, in the order of the queue.

        Backbones vary fastest, so that each has its first result before any has its second; then folds, as a seed
        can be compared only once all its folds are done: that way the first seed is comparable after its share of
        the time, and not only at the very end.
        """
        folds: list[int | None] = list(range(self.folds)) if self.folds else [None]
        return [(seed, fold, encoder) for seed in self.seeds for fold in folds for encoder in self.encoders]
