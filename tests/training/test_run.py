"""`train run`: the folder it leaves, going on after a stop, continuing, and what it refuses."""

from __future__ import annotations

import shutil
import signal
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import PREDICTIONS, TrainingRun
from tests.training.drawn_dataset import drawn_version
from tests.training.small_run import QUIET, order, recipe, trained
from training.loop import checkpoint, stopping
from training.loop.journal import Journal
from training.order import order_of
from training.run import run


def weights(run_: TrainingRun, name: str = "last") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = checkpoint.load(run_.folder / "checkpoints" / f"{name}.pt")["model"]
    return state


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stopped_at(step: int, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes in that step of the run."""
    original = Journal.step

    def seen(self: Journal, stage: str, epoch: int, now: int, loss: float, lr: float) -> None:
        original(self, stage, epoch, now, loss, lr)
        if now == step:
            stopping._answer(number, None)

    monkeypatch.setattr(Journal, "step", seen)


def test_a_run_leaves_what_the_contract_names(run_of_all: TrainingRun, version: DatasetVersion) -> None:
    names = {p.relative_to(run_of_all.folder).as_posix() for p in run_of_all.folder.rglob("*") if p.is_file()}

    assert {
        "recipe.toml",
        "run.json",
        "metrics.parquet",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
        "predictions/val.parquet",
        "predictions/test.parquet",
        "decision.json",
        "report.html",
        "model_card.md",
    } <= names
    assert any(name.startswith("events/") for name in names)
    record = run_of_all.record
    assert record.version == version.version
    assert record.classes["train"] == {"negative": 12, "positive": 12, "pictures": record.classes["train"]["pictures"]}
    assert record.packages["torch"] == torch.__version__.partition("+")[0]
    assert record.finished_at is not None
    assert record.best["auc"] > 0.9


def test_metrics_have_one_row_per_stage_epoch_and_split(run_of_all: TrainingRun) -> None:
    rows = run_of_all.metrics().to_pylist()

    assert [(r["stage"], r["epoch"], r["split"]) for r in rows] == [
        (stage, epoch, split) for stage in ("first", "main") for epoch in (1, 2) for split in ("train", "val")
    ]
    assert all(r["images_per_s"] > 0 and r["hardware"] for r in rows)
    steps = pq.read_table(run_of_all.folder / "steps.parquet")["step"].to_pylist()
    assert steps == list(range(1, len(steps) + 1))


def test_predictions_hold_every_picture_and_every_study_once(run_of_all: TrainingRun, version: DatasetVersion) -> None:
    rows = run_of_all.predictions("test")

    manifest = version.table("manifest").to_pylist()
    assert rows.schema.equals(PREDICTIONS)
    found = rows.to_pylist()
    images = [r["image_id"] for r in found if r["level"] == "instance"]
    assert sorted(images) == sorted(r["image_id"] for r in manifest if r["split"] == "test")
    studies = [r["study_id"] for r in found if r["level"] == "study"]
    assert sorted(studies) == sorted({r["study_id"] for r in manifest if r["split"] == "test"})


@pytest.mark.parametrize("step", [2, 5, 8, 10])
def test_a_run_that_was_stopped_ends_with_the_weights_of_an_undisturbed_one(
    step: int, run_of_all: TrainingRun, version: DatasetVersion, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stopped_at(step, signal.SIGUSR1, patch)
        with pytest.raises(stopping.Stopped):
            run(order(out, version, recipe()), QUIET)
    assert (out / "again").exists()
    stopping.forget()

    resumed = trained(out, version, resume=True)

    assert not (out / "again").exists()
    assert equal(weights(resumed), weights(run_of_all))
    assert equal(weights(resumed, "best"), weights(run_of_all, "best"))
    ours, theirs = ([(r["stage"], r["epoch"], r["loss"]) for r in r_.metrics().to_pylist()] for r_ in (resumed, run_of_all))
    assert ours == theirs


def test_a_person_who_stops_a_run_leaves_no_wish_to_start_it_again(
    version: DatasetVersion, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(1, signal.SIGINT, monkeypatch)

    with pytest.raises(stopping.Stopped):
        run(order(out, version, recipe()), QUIET)

    assert (out / "checkpoints" / "last.pt").exists()
    assert not (out / "again").exists()


def test_loader_processes_change_nothing(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    other = trained(out, version, "mvcnn", "loop.workers=2")

    assert equal(weights(other), weights(run_of_all))


def test_another_seed_gives_another_model(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    assert not equal(weights(trained(out, version, "mvcnn", "seed=1")), weights(run_of_all))


def test_resume_begins_a_run_that_is_not_there_yet(version: DatasetVersion, out: Path) -> None:
    assert trained(out, version, "rx_lite", resume=True).finished


def test_an_existing_run_is_not_written_over(run_of_all: TrainingRun, version: DatasetVersion) -> None:
    with pytest.raises(RadforgeError, match="there is a run already"):
        run(order(run_of_all.folder, version, recipe()), QUIET)


def test_a_folder_that_is_no_run_is_left_alone(version: DatasetVersion, out: Path) -> None:
    out.mkdir()
    (out / "thesis.docx").write_text("mine")

    with pytest.raises(RadforgeError, match="not an empty folder, and not a run"):
        run(order(out, version, recipe()), QUIET)


def test_resuming_with_other_data_or_another_recipe_is_refused(run_of_all: TrainingRun, tmp_path: Path) -> None:
    other = drawn_version(tmp_path / "other", 16, seed=5, size=(32, 24))

    with pytest.raises(RadforgeError, match=r"version mismatch(.|\n)*other values in: epochs"):
        run(order(run_of_all.folder, other, recipe("mvcnn", "epochs=9"), resume=True), QUIET)


def test_a_continued_run_is_a_new_one_that_goes_on(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    before = weights(run_of_all)

    asked = order_of(None, None, out, ["epochs=4"], False, run_of_all.folder, "cpu", out.parent / "cache")
    longer = run(asked, QUIET)

    assert longer is not None
    assert longer.record.continues == str(run_of_all.folder.resolve())
    rows = [(r["stage"], r["epoch"]) for r in longer.metrics().to_pylist() if r["split"] == "val"]
    assert rows == [("first", 1), ("first", 2), ("main", 1), ("main", 2), ("main", 3), ("main", 4)]
    assert equal(weights(run_of_all), before)
    assert not equal(weights(longer), before)


def test_a_continued_run_keeps_its_model(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    asked = order_of(None, None, out, ["model.norm=group", "epochs=4"], False, run_of_all.folder, "cpu", None)

    with pytest.raises(RadforgeError, match="a continued run keeps its data and model"):
        run(asked, QUIET)


def test_features_of_another_run_can_stay_frozen(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    settings = [f"init.run={run_of_all.folder}", "init.frozen_epochs=-1"]
    taken = trained(out, version, "rx_lite", *settings, "model.channels=[4,8]", "model.head=max")

    theirs, ours = weights(run_of_all, "best"), weights(taken)
    assert equal(*({k: v for k, v in w.items() if k.startswith("features")} for w in (theirs, ours)))
    assert not equal(*({k: v for k, v in w.items() if k.startswith("classifier")} for w in (theirs, ours)))


def test_a_network_that_cannot_learn_says_that_it_has_not_left_chance(version: DatasetVersion, out: Path) -> None:
    words = [
        "model.norm=none",
        "model.init=default",
        "model.head=fc",
        "init.frozen_epochs=-1",
        "views=all",
        "epochs=3",
        "optim.lr=1e-6",
    ]
    stuck = trained(out, version, "rx_lite", *words, "schedule.wait_epochs=0")

    assert len(stuck.record.warnings) == 1
    assert stuck.record.warnings[0].startswith("has not left chance")
    assert "has not left chance" in (out / "report.html").read_text("utf-8")


def test_epochs_at_chance_are_not_counted(version: DatasetVersion, out: Path) -> None:
    words = ["model.norm=none", "model.init=default", "model.head=fc", "init.frozen_epochs=-1", "epochs=2", "optim.lr=1e-6"]
    waited = trained(out, version, "rx_lite", *words, "schedule.wait_epochs=3", "schedule.wait_for_auc=0.6")

    assert max(waited.metrics()["epoch"].to_pylist()) == 5


def test_early_stopping_ends_a_run_that_gets_no_better(version: DatasetVersion, out: Path) -> None:
    stopped = trained(out, version, "rx_lite", "epochs=30", "loop.patience=2")

    epochs = max(stopped.metrics()["epoch"].to_pylist())
    assert epochs < 30
    assert epochs == stopped.record.best["epoch"] + 2


def test_a_loss_that_is_no_number_is_told_with_the_way_out(version: DatasetVersion, out: Path) -> None:
    words = ["optim.name=sgd", "optim.lr=10", "model.norm=none", "model.head=fc", "epochs=30", "schedule.warmup_steps=0"]

    with pytest.raises(RadforgeError, match=r"the loss is not a number.*loop\.clip_norm=1"):
        run(order(out, version, recipe("rx_lite", *words, "optim.momentum=0.99")), QUIET)


def test_a_model_that_cannot_be_built_is_refused_before_a_film_is_read(version: DatasetVersion, out: Path) -> None:
    gone = DatasetVersion(out / "nowhere", "000000000000")

    with pytest.raises(RadforgeError, match="766"):
        run(order(out, gone, recipe("rx_large", "model.padding=0", "data.size=[341,512]", "model.blocks=8")), QUIET)

    assert not out.exists()


def test_a_damaged_picture_is_named(version: DatasetVersion, out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(version.folder, copy / version.version)
    damaged = sorted((copy / version.version / "images").rglob("*.png"))[3]
    damaged.write_bytes(damaged.read_bytes()[:40])

    with pytest.raises(RadforgeError, match=damaged.stem):
        run(order(out, DatasetVersion.open(copy), recipe("rx_lite", "data.size=[26,32]")), QUIET)


def test_two_processes_do_not_train_in_one_folder(version: DatasetVersion, out: Path) -> None:
    from training.run_folder import locked

    with locked(out), pytest.raises(RadforgeError, match="another process is training"):
        run(order(out, version, recipe()), QUIET)


def test_a_warning_that_comes_while_pictures_are_decoded_loses_nothing(version: DatasetVersion, out: Path) -> None:
    stopping._answer(signal.SIGTERM, None)
    with pytest.raises(stopping.Stopped):
        run(order(out, version, recipe("rx_lite", "data.size=[30,40]")), QUIET)
    assert (out / "again").exists()
    stopping.forget()

    assert trained(out, version, "rx_lite", "data.size=[30,40]", resume=True).finished


def test_a_run_that_failed_before_its_record_begins_anew(run_of_all: TrainingRun, version: DatasetVersion, out: Path) -> None:
    out.mkdir()
    shutil.copytree(run_of_all.folder / "checkpoints", out / "checkpoints")
    (out / "recipe.toml").write_text("half")

    assert equal(weights(trained(out, version)), weights(run_of_all))


def test_a_run_is_not_continued_to_where_it_is_already(run_of_all: TrainingRun, out: Path) -> None:
    with pytest.raises(RadforgeError, match="nothing to go on with; found 2 epochs asked for, 2 in the run"):
        run(order_of(None, None, out, [], False, run_of_all.folder, "cpu", None), QUIET)


def test_a_run_does_not_go_into_a_dataset(version: DatasetVersion) -> None:
    with pytest.raises(RadforgeError, match="a run does not belong into a dataset"):
        run(order(version.folder / "run", version, recipe()), QUIET)


def test_a_flipped_bit_in_a_checkpoint_is_seen(run_of_all: TrainingRun, tmp_path: Path) -> None:
    data = bytearray(run_of_all.best.read_bytes())
    with zipfile.ZipFile(run_of_all.best) as archive:
        weights_at = max(archive.infolist(), key=lambda member: member.file_size).header_offset
    names = int.from_bytes(data[weights_at + 26 : weights_at + 28], "little") + int.from_bytes(
        data[weights_at + 28 : weights_at + 30], "little"
    )
    data[weights_at + 30 + names] ^= 1
    (tmp_path / "best.pt").write_bytes(bytes(data))

    with pytest.raises(RadforgeError, match="the checkpoint is damaged"):
        checkpoint.load(tmp_path / "best.pt")


def test_damaged_curves_are_named_and_not_replaced(version: DatasetVersion, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stopped_at(8, signal.SIGUSR1, patch)
        with pytest.raises(stopping.Stopped):
            run(order(out, version, recipe()), QUIET)
    stopping.forget()
    (out / "metrics.parquet").write_bytes(b"PAR1")

    with pytest.raises(RadforgeError, match=r"metrics\.parquet: is damaged"):
        run(order(out, version, recipe(), resume=True), QUIET)
