"""Groups of near duplicates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pictag.similarity import are_distinctive, count_different_bits, find_cosine_cut, group_near, normalize

CUT = 0.8
BASE, FAR = 0x1E2D4B8778B4D2E1, 0x6699CC3333CC9966  # hashes of images with much structure


def are_near(a: int, b: int, hashes: list[int | None], mirrored: list[int | None], vectors: Any) -> bool:
    """What `group_near` documents, for one pair."""
    one, other, mirror = hashes[a], hashes[b], mirrored[a]
    known = [value for value in (one, other, mirror) if value is not None]
    if not are_distinctive(np.array(known, np.uint64)).all():
        one = mirror = None
    if one is not None and other is not None and count_different_bits(one, other) <= 6:
        return True
    if mirror is not None and other is not None and count_different_bits(mirror, other) <= 6:
        return True
    return float(vectors[a] @ vectors[b]) >= CUT


def test_without_near_images_there_is_no_group() -> None:
    assert group_near([], [], None, cut=CUT) == []
    assert group_near([1], [2], np.ones((1, 1), np.float16), cut=CUT) == []
    assert group_near([None, None], [None, None], np.eye(2, dtype=np.float32), cut=CUT) == []


def test_a_chain_of_near_images_does_not_join_its_ends() -> None:
    angles = np.deg2rad(np.arange(0, 180, 30))  # each is near to the next one only
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    groups = group_near([None] * 6, [None] * 6, vectors, cut=CUT)
    for first, *others in groups:
        assert all(vectors[first] @ vectors[other] >= CUT for other in others)
    assert max(len(group) for group in groups) == 3


def test_the_image_that_most_others_are_near_to_comes_first() -> None:
    original = BASE
    others = [original ^ (0b111111 << (6 * shift)) for shift in range(8)]  # 12 bits from each other
    hashes = [*others[:4], original, *others[4:]]
    assert group_near(hashes, [None] * 9, None, cut=CUT) == [[4, 0, 1, 2, 3, 5, 6, 7, 8]]


def test_pairs_that_must_stay_apart_are_in_no_group() -> None:
    hashes = [BASE ^ bit for bit in (0b1, 0b10, 0b100, 0b1000)]
    assert group_near(hashes, hashes, None, cut=CUT, apart=[(0, 1)]) == [[0, 2, 3]]
    assert group_near(hashes, hashes, None, cut=CUT, apart=[(2, 3)]) == [[0, 1, 2]]
    everything = itertools.combinations(range(4), 2)
    assert group_near(hashes, hashes, None, cut=CUT, apart=everything) == []


def test_long_embeddings_give_the_same_groups_as_all_products() -> None:
    draw = np.random.default_rng(1)
    spread = 1 / np.arange(1, 501)  # like embeddings, they are larger in some directions
    centres = draw.standard_normal((60, 500)) * spread
    rows = normalize(np.repeat(centres, 5, axis=0) + 0.15 * draw.standard_normal((300, 500)) * spread)
    products = rows @ rows.T
    cut = float(np.quantile(products, 0.98))
    groups = group_near([None] * 300, [None] * 300, rows.astype(np.float16), cut=cut)
    near = (products >= cut) & ~np.eye(300, dtype=bool)
    sure = abs(products - cut) > 2e-3
    assert len(groups) > 30
    alone = sorted(set(range(300)) - set(itertools.chain(*groups)))
    assert not (near & sure)[np.ix_(alone, alone)].any()
    assert all(near[first, other] or not sure[first, other] for first, *rest in groups for other in rest)


def test_a_mirrored_image_is_near() -> None:
    assert group_near([BASE, FAR], [FAR, BASE], None, cut=CUT) == [[0, 1]]


def test_images_without_a_hash_and_an_embedding_are_near_to_none() -> None:
    assert group_near([None] * 3, [None] * 3, np.zeros((3, 4), np.float16), cut=CUT) == []


@given(st.integers(0, 10_000))
def test_groups_keep_their_promises(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 40))
    bases = [BASE, FAR, ~BASE & (2**64 - 1), BASE ^ 0xFFFF]

    def vary() -> int | None:
        if draw.random() < 0.2:
            return None
        flips = sum(1 << int(bit) for bit in set(draw.integers(0, 63, draw.integers(0, 9)).tolist()))
        return int(bases[draw.integers(4)]) ^ flips

    hashes, mirrored = [vary() for _ in range(count)], [vary() for _ in range(count)]
    mirrored = [None if one is None else other for one, other in zip(hashes, mirrored, strict=True)]
    vectors = normalize(draw.standard_normal((count, 3)) + 2 * np.eye(3)[draw.integers(0, 3, count)])
    groups = group_near(hashes, mirrored, vectors, cut=CUT)

    members = list(itertools.chain(*groups))
    assert len(members) == len(set(members))
    assert all(len(group) >= 2 for group in groups)
    for first, *others in groups:
        for other in others:
            assert are_near(first, other, hashes, mirrored, vectors) or are_near(
                other, first, hashes, mirrored, vectors
            )
    alone = set(range(count)) - set(members)
    for a, b in itertools.combinations(sorted(alone), 2):
        assert not are_near(a, b, hashes, mirrored, vectors)


def test_each_measured_model_has_its_cut() -> None:
    for name in ("efficientnet-lite0", "embedded"):
        cut = find_cosine_cut(name)
        assert cut.is_measured
    assert find_cosine_cut(None, "unknown") == find_cosine_cut()
