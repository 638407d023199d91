"""What explaining a study needs: the network, the pictures, the method, and the way back to the films."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training import trained
from training.data.batches import normalise
from training.data.cache import Pictures
from training.data.films import Films
from training.explain import back, pointing
from training.explain.choose import Case
from training.explain.heat import Heat, Map, Method, each_alone, peak, smoothed
from training.loop.ranks import Ranks
from training.loop.score import logits
from training.models.multi_view import MultiView

Places = Mapping[tuple[str, int], pointing.Point]
"""(source_id, frame_index) -> where the fracture was drawn on the stored film."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A trained network before its films."""

    films: Films
    pictures: Pictures
    model: trained.Trained
    method: Method
    grain: float
    """Deviation in pixels of the Gaussian that maps are smoothed with; 0: not at all."""
    ranks: Ranks

    @property
    def together(self) -> bool:
        """Whether the network looks at all views of a study at once."""
        return self.model.recipe.views == "all"

    def scores(self, studies: Sequence[NDArray[np.int64]]) -> list[float]:
        """The logit of each study (positions of its views): the highest view's where the network sees single views."""
        items = studies if self.together else [view for positions in studies for view in positions[:, None]]
        found = logits(self.model.network, self.pictures, self.films, items, self.model.recipe.loop, self.ranks)
        if self.together:
            return [float(score) for score in found]
        ends = np.cumsum([len(positions) for positions in studies])[:-1]
        return [float(part.max()) for part in np.split(found, ends)]

    def heat(self, case: Case, network: MultiView | None = None) -> Heat:
        """The maps of a study's views; `network` stands in for the trained one."""
        network = network or self.model.network
        pictures = torch.from_numpy(self.pictures[case.positions][:, None]).to(self.ranks.device)
        views = normalise(pictures, self.films.mean, self.films.std)
        found = self.method(network, views) if self.together else each_alone(self.method, network, views)
        return replace(found, views=np.stack([smoothed(view, self.grain) for view in found.views])) if self.grain else found

    def row(self, position: int) -> dict[str, Any]:
        """A manifest row."""
        row: dict[str, Any] = self.films.rows.slice(position, 1).to_pylist()[0]
        return row

    def on_picture(self, heat: Map, row: Mapping[str, Any]) -> Map:
        """A map over the input as one over the dataset's picture of a manifest row."""
        to_input = back.picture_to_input(row, self.model.recipe.data, self.films.largest)
        return back.warped(heat, to_input, row["rows"], row["columns"])

    def on_film(self, heat: Map, row: Mapping[str, Any]) -> Map:
        """A map over the input as one over the stored film of a manifest row."""
        return back.on_film(heat, row, self.model.recipe.data, self.films.largest)

    def peak(self, heat: Map, row: Mapping[str, Any]) -> pointing.Point | None:
        """(x, y) of a map's peak on the stored film of a manifest row."""
        there = peak(heat)
        to_input = back.film_to_input(row, self.model.recipe.data, self.films.largest)
        return None if there is None else back.moved(there, back.inverse(to_input))

    def shots(self, case: Case, heat: Heat, places: Places) -> Iterator[pointing.Shot]:
        """Whether the peaks hit, on the case's films that show a drawn fracture and were called positive."""
        for view, position in enumerate(case.positions.tolist()):
            row = self.row(position)
            place = places.get((row["source_id"], row["frame_index"]))
            # Of single views, only those that are called positive by themselves.
            if place is None or (not self.together and heat.logits[view] <= case.logit - case.distance):
                continue
            shot = pointing.shoot(row, self.films.version.picture(row), place, self.peak(heat.views[view], row))
            if shot is not None:
                yield shot
