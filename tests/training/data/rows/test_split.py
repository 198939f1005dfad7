"""The split: whole sentences, spread over the speakers, and the same ones next time."""

import random
from collections import Counter

from indextts_jax.training.data.rows.split import Item, sentence_key, split, validation_count


def items(count: int, speakers: int = 4, repeats: int = 1) -> list[Item]:
    return [Item(f"Sentence {n // repeats}.", f"s{n % speakers}", None) for n in range(count)]


def held(given: list[Item], count: int | None = None) -> list[Item]:
    sides = split(given, count)
    return [item for item, side in zip(given, sides, strict=True) if side == "validation"]


def test_no_sentence_is_in_both_splits() -> None:
    given = [
        Item(item.text.upper() if n % 2 else item.text, item.speaker, None)
        for n, item in enumerate(items(400, repeats=4))
    ]
    sides = split(given)
    by_side = {
        side: {sentence_key(i.text) for i, s in zip(given, sides, strict=True) if s == side}
        for side in ("train", "validation")
    }
    assert by_side["validation"]
    assert not by_side["train"] & by_side["validation"]


def test_the_count_is_2_percent_or_32_or_8() -> None:
    counts = {clips: validation_count(clips) for clips in (20, 100, 320, 1000, 5000)}
    assert counts == {20: 8, 100: 10, 320: 32, 1000: 32, 5000: 100}
    assert len(held(items(1000))) == 32


def test_speakers_are_held_out_by_their_share() -> None:
    given = [Item(f"Sentence {n}.", "much" if n % 10 else "little", None) for n in range(1000)]
    counts = Counter(item.speaker for item in held(given, 40))
    assert counts == {"much": 36, "little": 4}


def test_two_clips_of_a_speaker_stay() -> None:
    given = items(30, speakers=10)  # three clips each
    counts = Counter(item.speaker for item in held(given, 30))
    assert max(counts.values()) == 1


def test_order_does_not_matter_and_more_data_moves_little() -> None:
    given = items(1000)
    before = set(held(given))
    mixed = given.copy()
    random.Random(0).shuffle(mixed)
    assert set(held(mixed)) == before
    more = [*given, *(Item(f"New {n}.", "s0", None) for n in range(100))]
    assert len(before & set(held(more))) >= 24


def test_the_manifest_has_the_last_word() -> None:
    given = items(50)
    given[3] = Item("SENTENCE 3!", "s3", "validation")
    given[4] = Item("sentence 3", "s0", "train")  # says the same: held out with it
    sides = split(given)
    assert [n for n, side in enumerate(sides) if side == "validation"] == [3, 4]


def test_rows_marked_train_are_not_held_out() -> None:
    given = [Item(i.text, i.speaker, "train" if n < 40 else None) for n, i in enumerate(items(50))]
    assert all(item.given is None for item in held(given))


def test_clips_with_a_smaller_weight_are_not_evaluated() -> None:
    main = items(400)
    support = [Item(item.text, "formant", None, 0.1) for item in main[:200]]
    sides = split([*main, *support])
    held = {item.text for item, side in zip(main, sides, strict=False) if side == "validation"}
    assert len(held) == 32
    for item, side in zip(support, sides[400:], strict=True):
        assert side == ("unused" if item.text in held else "train")
