"""Which body parts are limbs: splitting and rotation leave all others alone. Names are the vocabulary's."""

from __future__ import annotations

_FAR_END_UP = frozenset({"wrist", "hand", "finger", "thumb", "forearm", "foot", "toe", "upper_limb", "sesamoid_bones_of_foot"})
_HANGING = frozenset(
    {
        "extremity", "lower_limb", "elbow", "upper_arm", "humerus", "thigh", "femur", "knee", "patella",
        "lower_leg", "tibia", "fibula", "ankle", "calcaneus", "tarsal_joint",
    }
)  # fmt: skip


def shows_limb(body_part: str | None) -> bool:
    """Whether a film of this recognised part is treated as a limb; a film of which nothing is known is."""
    return body_part is None or body_part in _FAR_END_UP or body_part in _HANGING


def far_end_up(body_part: str | None) -> bool:
    """Whether upright means fingers or toes above, as hands and feet are read; a leg or an upper arm hangs.

    Parts of which nothing is known are taken for hands.
    """
    return body_part is None or body_part in _FAR_END_UP
