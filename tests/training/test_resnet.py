"""ResNet18 with one input channel, and weights from a file."""

import pickle
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from schemas.errors import RadforgeError
from schemas.train_recipe import ResNetModel
from training.models.build import build

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pt"
    torch.save(resnet18().state_dict(), path)
    return path


def test_it_is_torchvisions_network_before_its_average_pooling() -> None:
    model = build(ResNetModel(), (341, 512))

    maps = model.features(torch.zeros(1, 1, 512, 341))

    assert maps.shape == (1, 512, 16, 11)
    # A layer of 1000 outputs became one of 1, and 64 filters of 7x7 lost two colours.
    original = sum(weight.numel() for weight in resnet18().parameters())
    assert sum(weight.numel() for weight in model.parameters()) == original - 513 * 999 - 2 * 64 * 49


def test_weights_for_colours_see_a_grey_picture_as_they_did_before(weights: Path) -> None:
    original = resnet18()
    original.load_state_dict(torch.load(weights, weights_only=True))
    original.eval()
    model = build(ResNetModel(weights=str(weights)), (48, 64)).eval()
    grey = torch.randn(2, 1, 64, 48)

    with torch.no_grad():
        expected = torch.nn.functional.linear(model.features(grey).mean(dim=(2, 3)), original.fc.weight, original.fc.bias)
        torch.testing.assert_close(original(grey.expand(-1, 3, -1, -1)), expected, rtol=1e-4, atol=1e-4)


def test_a_classifier_of_the_same_size_comes_along(tmp_path: Path) -> None:
    net = resnet18(num_classes=1)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "one.pt")

    model = build(ResNetModel(weights=str(tmp_path / "one.pt")), (64, 64))

    assert torch.equal(model.classifier.state_dict()["1.weight"], net.fc.weight)


def test_a_classifier_of_another_size_is_left_fresh(weights: Path) -> None:
    assert build(ResNetModel(weights=str(weights)), (64, 64), outputs=2).classifier.state_dict()["1.weight"].shape == (2, 512)


def test_a_file_that_does_not_fit_is_refused_by_the_names_that_differ(tmp_path: Path) -> None:
    state = resnet18().state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(8, 64, 3, 3)
    del state["bn1.weight"]
    torch.save(state, tmp_path / "other.pt")

    with pytest.raises(RadforgeError) as refused:
        build(ResNetModel(weights=str(tmp_path / "other.pt")), (64, 64))

    assert "`bn1.weight` is missing" in str(refused.value)
    assert "`layer1.0.conv1.weight` is 8x64x3x3 instead of 64x64x3x3" in str(refused.value)
    assert "other.pt" in str(refused.value)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("/tmp/exploded-by-a-weights-file"),)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", pickle.dumps(Bomb(), 2), pickle.dumps([1, 2], 2)],
    ids=["empty", "text", "code", "list"],
)
def test_other_files_are_refused_and_their_code_is_not_run(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange.pt"
    path.write_bytes(content)

    with pytest.raises(RadforgeError, match=r"strange\.pt"):
        build(ResNetModel(weights=str(path)), (64, 64))

    assert not Path("/tmp/exploded-by-a-weights-file").exists()


def test_damaged_safetensors_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"12345678910")

    with pytest.raises(RadforgeError, match="damaged"):
        build(ResNetModel(weights=str(tmp_path / "x.safetensors")), (64, 64))
    with pytest.raises(RadforgeError, match="no such file of weights"):
        build(ResNetModel(weights=str(tmp_path / "none.pt")), (64, 64))


def test_pictures_of_which_one_cell_is_left_are_refused() -> None:
    with pytest.raises(RadforgeError, match="a side above 32"):
        build(ResNetModel(), (32, 32))

    assert build(ResNetModel(), (33, 32)).features(torch.zeros(1, 1, 32, 33)).shape[2:] == (1, 2)
