"""What a network costs: checked against counting by hand and against what a real step keeps."""

import time

import pytest
import torch

from schemas.errors import RadforgeError
from schemas.train_recipe import Model, ResNetModel, RxModel, TimmModel
from training.models.build import build
from training.models.describe import describe

torch.set_num_threads(1)
SETTINGS = [
    RxModel(),
    RxModel(blocks=8, channels=(16, 32, 64, 128, 256)),
    RxModel(padding=0, norm="none", init="default", head="fc"),
    ResNetModel(),
]


def test_parameters_and_operations_are_those_counted_by_hand() -> None:
    facts = describe(RxModel(blocks=2, channels=(4, 6), padding=0, norm="none", head="max"), (20, 30))

    # 30x20 -> convolved 28x18 -> 14x9 -> convolved 12x7 -> 6x3
    assert facts.parameters == facts.trainable == (4 * 9 + 4) + (6 * 4 * 9 + 6) + (6 + 1)
    assert facts.flops == 2 * (28 * 18 * 4 * 9 + 12 * 7 * 6 * 4 * 9 + 6)
    assert facts.sizes == ((30, 20), (28, 18), (14, 9), (12, 7), (6, 3))
    assert facts.map_channels == 6


def test_the_activations_are_those_a_step_keeps() -> None:
    facts = describe(RxModel(blocks=1, channels=(4,), padding=1, norm="none", head="average"), (16, 16))

    picture, convolved, pooled = 16 * 16, 4 * 16 * 16, 4 * 8 * 8
    indices = 2 * pooled  # 8 bytes each
    over_views = pooled
    assert facts.activation_bytes == 4 * (picture + convolved + indices + pooled + over_views + 4)


def test_side_branches_are_not_on_the_way() -> None:
    facts = describe(TimmModel(name="mobilenetv3_small_050"), (341, 512))

    assert facts.sizes == ((512, 341), (256, 171), (128, 86), (64, 43), (32, 22), (16, 11))


def test_training_memory_grows_with_the_batch_and_counts_the_moments_of_adam() -> None:
    facts = describe(RxModel(), (64, 64))

    assert facts.training_bytes(0) == 16 * facts.parameters
    assert facts.training_bytes(3) - facts.training_bytes(2) == facts.activation_bytes


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings.kind}-{getattr(settings, 'blocks', '')}")
def test_facts_are_those_of_the_built_network_and_quickly_there(settings: Model) -> None:
    model = build(settings, (341, 512))
    started = time.process_time()

    facts = describe(settings, (341, 512))

    assert time.process_time() - started < 2
    assert facts.parameters == sum(weight.numel() for weight in model.parameters())
    with torch.no_grad():
        maps = model.features(torch.zeros(1, 1, 512, 341))
    assert maps.shape[1:] == (facts.map_channels, *facts.sizes[-1])


def test_a_file_of_weights_is_not_needed() -> None:
    assert describe(ResNetModel(weights="/nowhere.pt"), (64, 64)).parameters > 11e6


def test_a_network_that_cannot_work_has_no_facts() -> None:
    with pytest.raises(RadforgeError, match="766"):
        describe(RxModel(blocks=8, padding=0), (341, 512))
