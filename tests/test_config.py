from __future__ import annotations

import pytest

from segcore.config import ClassInfo, DatasetConfig, Recipe, RunConfig, StudyConfig
from segcore.errors import ConfigError
from tests.factories import fake_dataset


def test_configs_survive_json() -> None:
    dataset = fake_dataset()
    config = RunConfig(
        study="s",
        dataset=dataset.config,
        dataset_fingerprint="f",
        split_fingerprint="g",
        recipe=Recipe.named("notebook", epochs=3),
        encoder="resnet18.tv_in1k",
    )
    assert RunConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"image_size": 100}, "image_size", "multiple of 32, not 100; the nearest is 96."),
        ({"epochs": 0}, "epochs", "not 0"),
        ({"learning_rate": "fast"}, "learning_rate", "'fast'"),
        ({"colour": 1}, "colour", "no such setting"),
    ],
)
def test_bad_recipe_names_field_value_and_rule(values: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Recipe(**values)
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "x" * 81, ".hidden", "a\n", "end."])
def test_names_that_could_leave_the_workspace_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        StudyConfig(name=name, dataset="d", encoders=("resnet18",))


def test_notebook_recipe_is_the_notebooks() -> None:
    recipe = Recipe.named("notebook")
    assert (recipe.optimizer, recipe.learning_rate, recipe.loss, recipe.augmentation) == ("adam", 1e-3, "ce", "none")
    assert (recipe.batch_size, recipe.image_size, recipe.epochs) == (16, 128, 100)
    assert Recipe.named("notebook", epochs=2, image_size=None).image_size == 128
    with pytest.raises(ConfigError, match="default, notebook"):
        Recipe.named("magic")


def test_every_setting_is_documented() -> None:
    for config in (Recipe, StudyConfig, DatasetConfig, RunConfig, ClassInfo):
        for field in config.model_fields:
            assert config.help(field), (config, field)


def test_a_frozen_config_cannot_change() -> None:
    recipe = Recipe()
    with pytest.raises(ValueError, match="frozen"):
        recipe.epochs = 3  # type: ignore[misc]


def test_dataset_rules() -> None:
    base = fake_dataset().config.to_json()
    with pytest.raises(ConfigError, match="repeated: a"):
        DatasetConfig(**{**base, "classes": [{"name": "a", "color": (0, 0, i)} for i in range(2)]})
    with pytest.raises(ConfigError, match="no regular expression"):
        DatasetConfig(**{**base, "group_regex": "("})
    with pytest.raises(ConfigError, match="not both"):
        DatasetConfig(**{**base, "group_by_folder": True})
    with pytest.raises(ConfigError, match="give both or neither"):
        DatasetConfig(**{**base, "image_regex": r"(.+)\.jpg"})
    for image, mask in ((r"(.+)/(.+)\.jpg", r"(.+)\.png"), (r".+\.jpg", r".+\.png")):
        with pytest.raises(ConfigError, match="as many groups, at least one"):
            DatasetConfig(**{**base, "image_regex": image, "mask_regex": mask})
    with pytest.raises(ConfigError, match="0-255"):
        ClassInfo(name="a", color=(0, 0, 256))
    assert [info.name for info in fake_dataset().config.trained_classes] == ["paved-area", "grass", "roof"]


def test_repeated_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match="seeds must differ"):
        StudyConfig(name="s", dataset="d", encoders=("a",), seeds=(1, 1))
