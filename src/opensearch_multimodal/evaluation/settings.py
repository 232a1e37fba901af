"""What `tune` tries: settings of a profile's fusion and of its refinement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd

from ..errors import InvalidInput
from ..fusion import check_methods
from ..mappings import Fusion, IndexDescription, Profile, Refine, SourceField
from ..refinement import MULTI_VECTOR_BUDGET, SINGLE_VECTOR_BUDGET

__all__ = [
    "Setting",
    "as_setting",
    "completed",
    "fusion_settings",
    "late_stages",
    "refine_settings",
    "untuned",
]

_METHODS: tuple[tuple[str | None, str], ...] = (
    ("min_max", "arithmetic_mean"),
    (None, "rrf"),
    ("z_score", "arithmetic_mean"),
    ("softmax", "arithmetic_mean"),
    ("min_max", "geometric_mean"),
    ("softmax", "comb_mnz"),
    ("collection", "arithmetic_mean"),
)
_PARTS: Mapping[int, int] = {1: 1, 2: 10, 3: 6, 4: 4}
_FEWEST_PARTS = 3
_MIXES = ((0.5, 1.0), (0.3, 1.0), (0.7, 1.0))
_MIXES_AND_BUDGETS = (*_MIXES, (0.5, 0.5), (0.5, 2.0))
_SHARES = (0.5, 0.0, 0.75)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to rank.

    Attributes:
        name: for people, such as ``rrf: text 1, dense 2``.
        profile: the same as a profile, of the stages that rank records only.
        fields: the fields that score.
    """

    name: str
    profile: Profile
    fields: tuple[str, ...]


def late_stages(profile: Profile) -> list[str]:
    """Return the stages of a profile that come after the ranking of records, and are not tuned."""
    return [name for name in ("rerank", "documents", "cut") if getattr(profile, name) is not None]


def completed(tuned: Profile, base: Profile) -> Profile:
    """Return a tuned profile with the late stages of the profile that it comes from.

    A cut by ``relevance`` is left out: it was learnt from scores of the other ranking.
    """
    cut = base.cut if base.cut is None or base.cut.method != "relevance" else None
    return tuned.model_copy(update={"rerank": base.rerank, "documents": base.documents, "cut": cut})


def as_setting(index: IndexDescription, name: str, profile: Profile, fields: Collection[str]) -> Setting:
    """Return a profile of the index as a setting, without its late stages.

    Args:
        index: the index.
        name: of the setting.
        profile: the profile.
        fields: those that can score the questions.
    """
    ranking = profile.model_copy(update={"rerank": None, "documents": None, "cut": None})
    return Setting(name, ranking, tuple(field for field in index.weights(profile) if field in fields))


def fusion_settings(index: IndexDescription, base: Profile, fields: Collection[str]) -> list[Setting]:
    """Return every single retriever of a profile, and their fusions by several methods and weights.

    Weights are all ways to divide ten parts between two fields, six between three, four between four and
    three between more, and equal ones. Normalization by ``collection`` is tried where its statistics were
    learnt for every field, and the method of ``base`` where it is another one. Equal weights come first of
    each method, and the methods in the order of their use, so that of equally good settings the plainest is
    found first. What only scores what others found (``late_interaction``) is never left alone, and settings
    whose profile could not be searched, with the late stages of ``base``, are left out.

    Args:
        index: the index.
        base: the profile whose retrievers and depths are used.
        fields: those that can score the questions; a text model's, for questions in words.
    """
    scored = [name for name in index.weights(base) if name in fields]
    settings = [_fused(index, base, {name: 1}, None) for name in scored]
    for fusion in _fusions(index, base, scored) if len(scored) > 1 else ():
        settings += [
            _fused(index, base, dict(zip(scored, weights, strict=True)), fusion)
            for weights in _divisions(len(scored))
        ]
    return [one for one in settings if _can_be_searched(index, one, base)]


def untuned(settings: Sequence[Setting], index: IndexDescription) -> dict[str, Setting]:
    """Return the fusions that one would take without judgements: ``min_max`` and ``rrf``, equal weights."""
    found: dict[str, Setting] = {}
    most = max((len(one.fields) for one in settings), default=0)
    for one in settings:
        fusion, weights = one.profile.fusion, set(index.weights(one.profile).values())
        if fusion is None or len(one.fields) < most or len(weights) > 1:
            continue
        if fusion.combination == "rrf":
            found.setdefault("rrf", one)
        elif (fusion.normalization, fusion.combination) == ("min_max", "arithmetic_mean"):
            found.setdefault("min_max", one)
    return found


def refine_settings(index: IndexDescription, fused: Setting, base: Profile) -> list[Setting]:
    """Return refinements of a fusion: every vector field as primary, guided by all other fields.

    Each with a share of the complementary scores in the target of 0.3, 0.5 and 0.7, and with 0, 0.5 and 0.75
    of the fused score kept; the defaults first. Single vectors, whose refinement costs little, also with half
    and twice the default budget. Everything else is as in the refinement of ``base``, if it has one.
    """
    settings = []
    kept = base.refine.model_dump(exclude_none=True) if base.refine else {}
    for primary in fused.fields if len(fused.fields) > 1 else ():
        field = index.meta.fields.get(primary)
        if not isinstance(field, SourceField):
            continue
        single = field.encoding is None
        usual = SINGLE_VECTOR_BUDGET if single else MULTI_VECTOR_BUDGET
        others = tuple(name for name in fused.fields if name != primary)
        for (mix, factor), share in product(_MIXES_AND_BUDGETS if single else _MIXES, _SHARES):
            tried = {
                "primary": primary,
                "complementary": others,
                "mix": mix,
                "budget": factor * usual,
                "fused_share": share,
            }
            name = (
                f"{fused.name}; refine {primary}, mix {mix:g}, budget {factor * usual:g}, "
                f"fused share {share:g}"
            )
            profile = fused.profile.model_copy(update={"refine": Refine.model_validate({**kept, **tried})})
            settings.append(Setting(name, profile, fused.fields))
    return settings


def _fusions(index: IndexDescription, base: Profile, fields: Sequence[str]) -> list[Fusion]:
    """Return the methods that are tried."""
    learnt = index.meta.statistics.scores
    own = (base.fusion.normalization, base.fusion.combination) if base.fusion else _METHODS[0]
    missing = base.fusion.missing if base.fusion else None
    constant = base.fusion.rank_constant if base.fusion else Fusion(combination="rrf").rank_constant
    found = []
    for normalization, combination in dict.fromkeys([*_METHODS, own]):
        if normalization == "collection" and not set(fields) <= learnt.keys():
            continue
        kept = missing if combination == "arithmetic_mean" else None
        check_methods(normalization, combination, kept)
        found.append(
            Fusion(normalization=normalization, combination=combination, missing=kept, rank_constant=constant)
        )
    return found


def _can_be_searched(index: IndexDescription, setting: Setting, base: Profile) -> bool:
    if all(retriever.type == "late_interaction" for retriever in setting.profile.retrievers):
        return False
    try:
        index.check_profile(setting.name, completed(setting.profile, base))
    except InvalidInput:
        return False
    return True


def _fused(
    index: IndexDescription, base: Profile, weights: Mapping[str, int], fusion: Fusion | None
) -> Setting:
    """Return the setting with these weights; fields of weight 0 are left out, with what searches them."""
    used = {name: weight for name, weight in weights.items() if weight}
    retrievers = tuple(
        one.model_copy(update={"weight": float(used[field])})
        for one in base.retrievers
        if (field := index.scored_field(one.field)) in used
    )
    if fusion is None or len(used) == 1:
        return Setting(next(iter(used)), Profile(retrievers=retrievers), tuple(used))
    method = ", ".join(part for part in (fusion.normalization, fusion.combination) if part)
    shares = ", ".join(f"{name} {weight}" for name, weight in used.items())
    return Setting(f"{method}: {shares}", Profile(retrievers=retrievers, fusion=fusion), tuple(used))


def _divisions(count: int) -> list[tuple[int, ...]]:
    """Return the weights to try for so many fields, equal ones first, without those that leave one field."""
    parts = _PARTS.get(count, _FEWEST_PARTS)
    found = {(1,) * count: None}
    for division in _compositions(parts, count):
        if sum(part > 0 for part in division) > 1:
            divisor = gcd(*division)
            found[tuple(part // divisor for part in division)] = None
    return list(found)


def _compositions(total: int, count: int) -> Iterator[tuple[int, ...]]:
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, count - 1):
            yield (first, *rest)
