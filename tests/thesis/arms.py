"""What is trained: one row of the table each. An arm is a shipped recipe and what is changed in it."""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Arm:
    """One row: `key` names its run folders, `after` an arm whose features it starts from."""

    key: str
    group: str
    title: str
    recipe: str
    settings: tuple[str, ...] = ()
    after: str = ""
    refused: bool = False


def _lite(key: str, group: str, title: str, *settings: str) -> Arm:
    return Arm(key, group, title, "thesis/rx_lite", settings)


def _aggregator(key: str, title: str, *settings: str, after: str = "") -> Arm:
    return Arm(key, "The four MVCNN arms", title, "thesis/rx_lite", ("views=all", "loop.batch=8", *settings), after)


MODELS = "Models"
SAMPLERS = "Which items an epoch shows"
INPUTS = "The picture"
SIZES = "Two sizes"
OPTIMISATION = "Batch and optimiser"

THESIS_SAYS = {
    MODELS: "ResNet18 85.0 % of studies by ALO, Rx Lite 77.7 %, Rx Large and MVCNN stuck at 50 %.",
    "The four MVCNN arms": "all stayed at 50 %, with features from scratch and from a trained Rx.",
    SAMPLERS: "its rule was meant to balance the classes; where 31.1 % are positive it gives 40.8 %. (Here half are positive: "
    "the rules differ only in which pictures of an epoch repeat.)",
    INPUTS: "random inversion was tried and rejected (69.8 to 61.7 % of pictures); padding to the largest picture beat "
    "stretching (77.7 to 78.3 % of studies).",
    SIZES: "larger pictures were worse, after the same number of epochs.",
    OPTIMISATION: "Adam beat AMSGrad and SGD with momentum; batches of 32, 64 and 128 made no clear difference.",
}
"""What the thesis reports of each group, to be read beside the numbers."""

ARMS = (
    Arm("rx_lite", MODELS, "Rx Lite, repaired (norm, He, max pool)", "thesis/rx_lite"),
    Arm("mvcnn", MODELS, "MVCNN in two stages", "thesis/mvcnn"),
    Arm("mvcnn_words", MODELS, "MVCNN in the thesis' words", "thesis/mvcnn_words"),
    Arm("rx_lite_words", MODELS, "Rx Lite in the thesis' words", "thesis/rx_lite_words"),
    Arm("rx_large_words", MODELS, "Rx Large in the thesis' words (341 x 512)", "thesis/rx_large_words", refused=True),
    _aggregator("scratch_tuned", "from scratch, all weights", "epochs=12"),
    _aggregator("scratch_frozen", "from scratch, frozen", "epochs=8", "init.frozen_epochs=-1", "schedule.wait_epochs=0"),
    _aggregator("transfer_tuned", "features of Rx Lite, all weights", "epochs=8", "optim.lr=1e-3", after="rx_lite"),
    _aggregator("transfer_frozen", "features of Rx Lite, frozen", "epochs=8", "init.frozen_epochs=-1", after="rx_lite"),
    _aggregator(
        "transfer_words",
        "features of Rx Lite in the thesis' words, frozen, three FC",
        "epochs=8", "model.padding=0", "model.norm=none", "model.init=default", "model.head=fc",
        "init.frozen_epochs=-1", "schedule.wait_epochs=0",
        after="rx_lite_words",
    ),
    _lite("weighted", SAMPLERS, "weighted, the thesis' rule", "sampling.balance=weighted"),
    _lite("none", SAMPLERS, "every picture once", "sampling.balance=none"),
    _lite("invert", INPUTS, "random inversion p 0.5", "augment.invert=0.5"),
    _lite("pad_largest", INPUTS, "padded to the largest picture", "data.fit=pad_largest"),
    _lite("stretch", INPUTS, "stretched", "data.fit=stretch"),
    _lite("half_equal", SIZES, "48 x 64, as many steps", "data.size=[48,64]"),
    _lite("half_long", SIZES, "48 x 64, twice the epochs", "data.size=[48,64]", "epochs=20"),
    _lite("full_long", SIZES, "96 x 128, twice the epochs", "epochs=20"),
    _lite("batch16", OPTIMISATION, "batch 16", "loop.batch=16"),
    _lite("batch64", OPTIMISATION, "batch 64", "loop.batch=64"),
    _lite("amsgrad", OPTIMISATION, "AMSGrad", "optim.name=amsgrad"),
    _lite("sgd", OPTIMISATION, "SGD with momentum, rate 0.02", "optim.name=sgd", "optim.lr=0.02"),
    Arm("resnet18", MODELS, "ResNet18", "thesis/resnet18"),
    Arm("rx_large", MODELS, "Rx Large, repaired (256 x 256)", "thesis/rx_large"),
)  # fmt: skip
"""In the order they are trained: what others start from first, the dear ones last."""
