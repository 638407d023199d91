"""The loop, top to bottom: phases, epochs, steps.

Order and augmentation are pure functions of (seed, epoch) and the random numbers of a step of (seed, step), so a run that was
stopped in mid-epoch and resumed ends with the very weights of an undisturbed one (on a CPU).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cluster.progress import Reporter, Stage
from schemas.errors import RadforgeError
from schemas.train_recipe import TrainRecipe
from training.data.batches import Batch, train_batches
from training.data.cache import Pictures
from training.data.films import Films
from training.data.sampler import batches_of, epoch_order
from training.loop import chance, checkpoint, stopping
from training.loop.journal import Journal
from training.loop.optimiser import LearningRate, optimiser
from training.loop.phases import Phase, phases
from training.loop.progress import Progress, Sums
from training.loop.ranks import Ranks
from training.loop.score import logits, loss_and_auc
from training.loop.step import Stepper
from training.models.multi_view import MultiView, freeze
from training.targets import Target

Items = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Scene:
    """What a training has to do with and never changes."""

    recipe: TrainRecipe
    films: Films
    pictures: Pictures | NDArray[np.uint8]
    target: Target
    ranks: Ranks
    folder: Path
    journal: Journal
    say: Reporter
    facts: dict[str, Any]  # written into each checkpoint: what is needed to use its weights

    def items(self, split: str, views: str) -> tuple[Items, NDArray[np.float32]]:
        """The split's items (positions of their views) and targets."""
        at = self.films.of(split)
        items = self.films.studies(at) if views == "all" else [at[i : i + 1] for i in range(len(at))]
        return items, np.array([self.films.target[item[0]] for item in items], np.float32)


def train(scene: Scene, network: MultiView, state: dict[str, Any] | None) -> Progress:
    """Train to the end of the recipe, from `state` (a last checkpoint) where there is one; leaves best.pt and last.pt.

    Raises Stopped after a signal, with the checkpoint written; RadforgeError when the loss is no number or memory ends.
    """
    progress = Progress.of(state["progress"]) if state else Progress()
    plan = phases(scene.recipe)
    while progress.phase < len(plan):
        phase = plan[progress.phase]
        _Phase(scene, network, phase, progress, state).run()
        state = None
        best = checkpoint.load(scene.folder / "checkpoints" / _best(phase), scene.ranks.device)
        network.load_state_dict(best["model"])
        progress.next_phase()
    return progress


def _best(phase: Phase) -> str:
    return "best.pt" if phase.name == "main" else "first.pt"


class _Phase:
    """One phase of the plan."""

    def __init__(
        self, scene: Scene, network: MultiView, phase: Phase, progress: Progress, state: dict[str, Any] | None
    ) -> None:
        self.scene, self.network, self.phase, self.progress = scene, network, phase, progress
        self.items, self.targets = scene.items("train", phase.views)
        self.val_items, self.val_targets = scene.items("val", phase.views)
        loop = scene.recipe.loop.model_copy(update={"batch": phase.batch})
        if state is not None:
            network.load_state_dict(state["model"])
        freeze(network, phase.frozen(progress.epoch))
        self.stepper = Stepper(
            network,
            optimiser(network, scene.recipe.optim, phase.lr),
            scene.target,
            loop,
            scene.ranks,
            scene.films.mean,
            scene.films.std,
        )
        if state is not None:
            _restore(self.stepper, state)
        self.steps_an_epoch = len(self._batches(0))
        # A warm-up that takes up the whole phase would never reach the rate that was asked for.
        warmup = min(phase.warmup_steps, self.steps_an_epoch * phase.epochs // 3)
        self.rate = LearningRate(phase.lr, warmup, scene.recipe.schedule)
        studies = [self.val_targets[start] for start in self._study_starts()]
        self.noise = chance.auc_noise(int(sum(studies)), len(studies) - int(sum(studies)))
        if scene.recipe.schedule.wait_for_auc == 0 and progress.released is None:
            progress.released = progress.phase_step
        self.saved = time.monotonic()

    def run(self) -> None:
        """All epochs that are left."""
        patience = self.scene.recipe.loop.patience
        while self.progress.epoch < self.epochs and not (patience and self.progress.stale >= patience):
            self._epoch()
            self._validate()
        if self.progress.stuck:
            self.scene.say.warn(self.progress.stuck)

    @property
    def epochs(self) -> int:
        """Epochs of the phase, with those that do not count."""
        return self.phase.epochs + self.progress.waited

    @property
    def lr(self) -> float:
        """Of the next step."""
        return self.rate.at(self.progress.phase_step, self.steps_an_epoch * self.epochs, self.progress.released)

    def _batches(self, epoch: int) -> Items:
        """This rank's batches of an epoch, each the positions of its items."""
        recipe, ranks = self.scene.recipe, self.scene.ranks
        order = epoch_order(self.targets, recipe.sampling.balance, recipe.seed, epoch)
        return batches_of(order, self.phase.batch, ranks.rank, ranks.world)

    def _epoch(self) -> None:
        """The steps of the epoch that are left."""
        scene, progress = self.scene, self.progress
        if self.phase.frozen(progress.epoch) != self.phase.frozen(max(progress.epoch - 1, 0)):
            freeze(self.network, self.phase.frozen(progress.epoch))
            self.stepper.wrap()
        self.network.train()
        left = self._batches(progress.total_epochs)[progress.step :]
        batches = train_batches(
            scene.pictures,
            scene.films,
            self.items,
            left,
            recipe=scene.recipe,
            epoch=progress.total_epochs,
            workers=scene.recipe.loop.workers,
            pin=scene.ranks.device.type == "cuda",
        )
        title = f"{self.phase.name} {progress.epoch + 1}/{self.epochs}"
        with scene.say.stage(title, self.steps_an_epoch * self.phase.batch, "items") as stage:
            stage.skip(progress.step * self.phase.batch)
            asked_for = time.monotonic()
            for batch in batches:
                waited = time.monotonic() - asked_for
                self._step(batch, stage)
                now = time.monotonic()
                progress.sums.waited += waited
                progress.sums.seconds += now - asked_for
                asked_for = now
                self._save_when_due()
        progress.epoch += 1
        progress.total_epochs += 1
        progress.step = 0

    def _step(self, batch: Batch, stage: Stage) -> None:
        progress, recipe = self.progress, self.scene.recipe
        lr = self.lr
        torch.manual_seed((recipe.seed << 32) + progress.total_steps)  # dropout: a function of seed and step alone
        result = self.stepper.step(batch, lr)
        count = len(batch.item)
        # One exchange a step: the loss of all, and whether any of us was asked to stop.
        loss, items, asked = self.scene.ranks.total([result.loss, float(count), float(stopping.asked() > 0)])
        if not math.isfinite(loss):
            raise RadforgeError(
                "the loss is not a number any more",
                f"stage {self.phase.name}, epoch {progress.epoch + 1}, step {progress.step + 1}",
                f"{loss} at a learning rate of {lr:.3g}",
                f"a smaller rate (--set optim.lr={self.phase.lr / 10:g}), --set loop.clip_norm=1, or --set loop.amp=off",
            )
        sums = progress.sums
        sums.loss += result.loss
        sums.logit += float(result.logits.sum())
        sums.logit_squared += float(result.logits.square().sum())
        sums.positives += float(batch.target.sum())
        sums.items += count
        sums.images += float(batch.mask.sum())
        progress.step += 1
        progress.phase_step += 1
        progress.total_steps += 1
        self.scene.journal.step(self.phase.name, progress.epoch + 1, progress.total_steps, loss / items, lr)
        stage.advance(int(items), f"loss {sums.loss / sums.items:.3f}")
        if asked:
            self.save()
            self.scene.ranks.wait()  # the file is there before anyone ends
            raise stopping.Stopped(self.scene.ranks.largest(stopping.asked()))

    def _save_when_due(self) -> None:
        if time.monotonic() - self.saved > 60 * self.scene.recipe.loop.checkpoint_minutes:
            self.save()

    def _validate(self) -> None:
        """The epoch's figures; the best epoch is kept; the rate is set free once the run has left chance."""
        scene, progress, ranks = self.scene, self.progress, self.scene.ranks
        sums = Sums(*ranks.total(list(vars(progress.sums).values())))
        started = time.monotonic()
        found = logits(
            self.stepper.validated, scene.pictures, scene.films, self.val_items, scene.recipe.loop, ranks, self.phase.batch
        )
        loss, auc = loss_and_auc(found, self.val_targets)
        study_auc = auc if self.phase.views == "all" else self._study_auc(found)
        seconds = sums.seconds / ranks.world
        progress.elapsed_s += seconds + time.monotonic() - started
        progress.done.append([self.phase.name, progress.epoch])
        progress.best_auc = max(progress.best_auc, study_auc)
        self._log(sums, seconds, found, (loss, auc, study_auc), time.monotonic() - started)
        self._chance(sums)
        better = not progress.best or (
            study_auc > progress.best["auc"] if scene.recipe.loop.select == "auc" else loss < progress.best["loss"]
        )
        progress.stale = 0 if better or progress.released is None else progress.stale + 1
        if better:
            progress.best = {"epoch": float(progress.epoch), "loss": loss, "auc": study_auc}
            if ranks.first:
                checkpoint.save(scene.folder / "checkpoints" / _best(self.phase), self._kept())
        progress.sums = Sums()
        self.save()
        ranks.wait()

    def _study_auc(self, found: NDArray[np.float32]) -> float:
        """Of single views the highest speaks for its study: with one view in three showing it, theirs alone hardly moves."""
        starts = self._study_starts()
        return loss_and_auc(np.maximum.reduceat(found, starts), self.val_targets[starts])[1]

    def _study_starts(self) -> NDArray[np.int64]:
        """Where among the validation items each study begins."""
        study = np.array([self.scene.films.study[item[0]] for item in self.val_items])
        return np.flatnonzero(np.diff(study, prepend=-1)).astype(np.int64)

    def _log(
        self, sums: Sums, seconds: float, found: NDArray[np.float32], figures: tuple[float, float, float], scored_s: float
    ) -> None:
        progress, ranks, device = self.progress, self.scene.ranks, self.scene.ranks.device
        lr, (loss, auc, study_auc) = self.lr, figures
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
        common = {"stage": self.phase.name, "epoch": progress.epoch, "lr": lr, "memory_mb": memory}
        speed = sums.images / seconds if seconds > 1e-3 else 0.0  # nothing was left to do of an epoch that was gone on with
        trained = {
            "split": "train", "loss": sums.loss / sums.items, "spread": sums.spread, "positives": sums.positives / sums.items,
            "items": int(sums.items), "images_per_s": speed, "elapsed_s": seconds, "waited_s": sums.waited / ranks.world,
        }  # fmt: skip
        validated = {
            "split": "val", "loss": loss, "auc": auc, "study_auc": study_auc, "spread": float(np.std(found)),
            "items": len(found), "positives": float(self.val_targets.mean()),
            "images_per_s": sum(map(len, self.val_items)) / max(scored_s, 1e-9),
            "elapsed_s": scored_s,
        }  # fmt: skip
        for row in (trained, validated):
            self.scene.journal.epoch(common | row, progress.total_steps)
        left = (self.epochs - progress.epoch) * (seconds + scored_s)
        self.scene.say.say(
            f"{self.phase.name} {progress.epoch}/{self.epochs}: loss {sums.loss / sums.items:.3f}, "
            f"validation loss {loss:.3f}, AUC of studies {study_auc:.3f}, rate {lr:.2g}, "
            f"{speed:.0f} images/s, about {left:.0f} s left"
        )

    def _chance(self, sums: Sums) -> None:
        progress, schedule = self.progress, self.scene.recipe.schedule
        shown = chance.Epoch(sums.loss / sums.items, sums.spread, sums.positives / sums.items, progress.best_auc, self.noise)
        if shown.left(schedule.wait_for_auc or 0.6):
            if progress.stuck:
                self.scene.say.say(f"left chance in epoch {progress.epoch} of stage {self.phase.name}")
            progress.stuck = ""
            if progress.released is None:
                progress.released = progress.phase_step
            return
        if progress.released is None and progress.waited < schedule.wait_epochs:
            progress.waited += 1
        if progress.epoch >= chance.PATIENCE_EPOCHS:
            first = not progress.stuck
            progress.stuck = chance.told(shown, progress.epoch, f"stage {self.phase.name}")
            if first:
                self.scene.say.warn(f"{progress.stuck}; the learning rate is held until it does")

    def _kept(self) -> dict[str, Any]:
        """best.pt: the weights, and all that is needed to use them."""
        return {
            "model": checkpoint.on_cpu(self.stepper.validated.state_dict()),
            "progress": self.progress.as_dict(),
            "recipe": self.scene.recipe.model_dump_json(),
            "facts": self.scene.facts,
        }

    def save(self) -> None:
        """last.pt and the journal, by the first rank."""
        self.saved = time.monotonic()
        if not self.scene.ranks.first:
            return
        self.scene.journal.write()  # first: rows beyond the checkpoint are dropped on resuming, missing ones cannot be made
        average = self.stepper.average
        checkpoint.save(
            self.scene.folder / "checkpoints" / "last.pt",
            {
                "model": self.network.state_dict(),
                "average": average.state_dict() if average is not None else {},
                "optimiser": self.stepper.optimiser.state_dict(),
                "scaler": self.stepper.scaler.state_dict(),
                "progress": self.progress.as_dict(),
                "recipe": self.scene.recipe.model_dump_json(),
                "facts": self.scene.facts,
            },
        )


def _restore(stepper: Stepper, state: dict[str, Any]) -> None:
    stepper.optimiser.load_state_dict(state["optimiser"])
    stepper.scaler.load_state_dict(state["scaler"])
    if stepper.average is not None and state["average"]:
        stepper.average.load_state_dict(state["average"])
