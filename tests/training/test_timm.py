"""Any timm classifier with one channel, at sizes it was not made for; weights from a file; where a ViT looks."""

import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from schemas.errors import RadforgeError
from schemas.train_recipe import TimmModel
from training.models.attention_map import attention_map, rollout
from training.models.build import build
from training.models.timm_model import TimmFeatures

torch.set_num_threads(1)
VIT = "vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("name", "channels", "cells"),
    [
        ("resnet10t", 512, (3, 3)),
        ("convnext_atto", 320, (3, 2)),
        ("efficientnet_b0", 1280, (3, 3)),
        ("mobilenetv3_small_050", 288, (3, 3)),
        ("regnety_002", 368, (3, 3)),
        ("swin_tiny_patch4_window7_224", 768, (3, 3)),
        (VIT, 192, (1, 1)),
        ("eva02_tiny_patch14_224", 192, (1, 1)),
    ],
)
def test_networks_of_every_make_take_odd_sizes_and_train_every_weight(name: str, channels: int, cells: tuple[int, int]) -> None:
    model = build(TimmModel(name=name, pool="attention"), (69, 96)).train()
    mask = torch.tensor([[True, True], [True, False]])

    maps = model.features(torch.randn(2, 1, 96, 69))
    logits = model(torch.randn(2, 2, 1, 96, 69), mask)
    logits.sum().backward()

    assert maps.shape == (2, channels, *cells)
    assert logits.shape == (2, 1)
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("size", [(341, 512), (512, 512), (224, 224), (16, 16)])
def test_a_vit_is_built_for_the_size_of_the_pictures(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        model = build(TimmModel(name=VIT), size)
        logits = model(torch.empty(1, 1, 1, size[1], size[0]), torch.ones(1, 1, dtype=torch.bool))

    assert logits.shape == (1, 1)
    assert isinstance(model.features, TimmFeatures)
    assert model.features.padded == (-(-size[1] // 16) * 16, -(-size[0] // 16) * 16)


def test_borders_repeat_the_edge_of_a_picture_in_the_middle() -> None:
    features = TimmFeatures(nn.Identity(), (4, 5), "maps")

    grown = features.pad(torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None])

    assert grown[0, 0, :, 1:3].tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert grown[0, 0, 1].tolist() == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", VIT, "swin_tiny_patch4_window7_224"])
def test_the_two_halves_compute_what_the_whole_network_does(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"img_size": (64, 64)} if "patch" in name else {}
    net = timm.create_model(name, pretrained=False, in_chans=1, num_classes=1, **options).eval()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    images = torch.randn(2, 1, 64, 64)

    model = build(TimmModel(name=name, weights=str(tmp_path / "net.safetensors")), (64, 64)).eval()

    with torch.no_grad():
        torch.testing.assert_close(
            model(images[:, None], torch.ones(2, 1, dtype=torch.bool)), net(images), rtol=1e-4, atol=1e-5
        )


def test_weights_of_colours_and_of_another_size_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = timm.create_model(VIT, pretrained=False, num_classes=10)
    torch.save(net.state_dict(), tmp_path / "rgb.pt")

    model = build(TimmModel(name=VIT, weights=str(tmp_path / "rgb.pt")), (80, 96))

    assert isinstance(model.features, TimmFeatures)
    torch.testing.assert_close(model.features.net.patch_embed.proj.weight, net.patch_embed.proj.weight.sum(dim=1, keepdim=True))
    assert model.features.net.pos_embed.shape == (1, 1 + 6 * 5, 192)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet10t", num_classes=1).state_dict(), tmp_path / "resnet.pt")

    for name in ("convnext_atto", VIT):
        with pytest.raises(RadforgeError, match=r"resnet\.pt: the weights"):
            build(TimmModel(name=name, weights=str(tmp_path / "resnet.pt")), (64, 64))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RadforgeError, match=r"did you mean `resnet10t`\?"):
        build(TimmModel(name="resnet10tt"), (64, 64))


def test_a_name_that_would_be_looked_up_over_the_network_is_no_name() -> None:
    with pytest.raises(RadforgeError, match="timm has no model"):
        build(TimmModel(name="hf-hub:timm/resnet18.a1_in1k"), (64, 64))


def test_a_network_bound_to_a_size_says_so() -> None:
    with pytest.raises(RadforgeError, match=r"`efficientformer_l1` cannot take the pictures.*341 columns x 512 rows"):
        build(TimmModel(name="efficientformer_l1"), (341, 512))


def test_without_timm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(RadforgeError, match="need the package timm"):
        build(TimmModel(name="resnet10t"), (64, 64))


def test_rollout_follows_tokens_through_layers_and_skips() -> None:
    # Two layers, one head: token 0 reads token 1 in the second layer, token 1 read token 2 in the first.
    first, second = torch.eye(3), torch.eye(3)
    first[1], second[0] = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])

    flow = rollout([first[None, None], second[None, None]])

    torch.testing.assert_close(flow[0, 0], torch.tensor([0.5, 0.25, 0.25]))
    torch.testing.assert_close(flow.sum(dim=-1), torch.ones(1, 3))


def test_the_attention_map_lies_where_the_class_token_looks() -> None:
    torch.manual_seed(0)
    model = build(TimmModel(name=VIT), (69, 96))
    assert isinstance(model.features, TimmFeatures)
    net = model.features.net
    target = 2 * 5 + 3  # the patch in row 2, column 3 of 6 x 5
    for block in net.blocks:
        block.attn.fused_attn = True
        block.attn.attn_drop = _LooksAt(1 + target)

    found = attention_map(model, torch.randn(2, 1, 96, 69))

    assert found is not None
    assert found.shape == (2, 96, 69)
    row, column = divmod(int(found[0].argmax()), 69)
    # The patch's centre is at (39.5, 55.5) of the 96 x 80 that the network saw, 5 columns of which are border.
    assert row in (39, 40)
    assert column in (50, 51)
    assert all(block.attn.fused_attn for block in net.blocks)
    assert model.training


class _LooksAt(nn.Module):
    def __init__(self, token: int) -> None:
        super().__init__()
        self.token = token
        self.p = 0.0

    def forward(self, attention: torch.Tensor) -> torch.Tensor:
        chosen = torch.zeros_like(attention)
        chosen[..., self.token] = 1
        return chosen


def test_the_attention_map_is_made_of_the_networks_own_attention() -> None:
    torch.manual_seed(0)
    model = build(TimmModel(name=VIT), (64, 64)).eval()
    assert isinstance(model.features, TimmFeatures)
    images = torch.randn(2, 1, 64, 64)
    random = attention_map(model, images)
    for block in model.features.net.blocks:
        block.attn.qkv.weight.data[:384] = 0
        block.attn.qkv.bias.data[:384] = 0

    even = attention_map(model, images)

    assert random is not None
    assert even is not None
    assert float(random.std(dim=(1, 2)).min()) > 0
    torch.testing.assert_close(even, torch.full_like(even, float(even.mean())))


@pytest.mark.parametrize("name", ["resnet10t", "swin_tiny_patch4_window7_224"])
def test_networks_without_attention_over_the_whole_picture_have_no_map(name: str) -> None:
    assert attention_map(build(TimmModel(name=name), (64, 64)), torch.randn(1, 1, 64, 64)) is None
