import dataclasses

import ml_dtypes
import numpy as np
import pytest
import support

from indextts_jax.errors import InputError
from indextts_jax.training.objectives.gpt.objective import build

CONFIG = support.tiny_config()


@dataclasses.dataclass(frozen=True)
class Clip:
    id: str
    seconds: float
    tokens: int
    codes: int


class Data:
    """Prepared data in memory: each clip's features are filled with its number."""

    def __init__(self, *clips, besides=(), alignments=None):
        self.rows, self.besides = clips, besides  # ids with an emotion prompt
        self.alignments = alignments or {}

    def prompts(self, row, rng):
        others = [clip for clip in self.rows if clip.id != row.id]
        return others[rng.integers(len(others))] if others else row

    def has(self, row, feature):
        return feature != "emotion_prompt" or row.id in self.besides

    def read(self, row, feature):
        if feature == "alignment":
            return np.array(self.alignments[row.id], np.uint16)
        number, width = self.rows.index(row), CONFIG.gpt.width
        return {
            "text": np.arange(2, 2 + row.tokens, dtype=np.int32),
            "codes": np.arange(row.codes, dtype=np.uint16),
            "conditioning": np.full((32, width), number, ml_dtypes.bfloat16),
            "emotion": np.full(width, number, np.float32),
            "emotion_prompt": np.full(width, 100 + number, np.float32),
            "semantic": np.full((row.codes, 32), number, np.float16),
        }[feature]


A, B, C = Clip("a", 1.0, 7, 50), Clip("b", 1.5, 11, 70), Clip("c", 3.0, 30, 150)


def collate(data, rows, seconds, seed=0, **options):
    made = build(CONFIG, {"train": ["trunk"]} | options, ("gpt", "training_heads"))
    return made.collate(rows, data, seconds, np.random.default_rng(seed))


def test_shapes_follow_from_the_bucket_alone():
    data = Data(A, B, C)
    shapes = [
        {name: array.shape for name, array in collate(data, rows, 1.5).items()}
        for rows in ([A, A], [B, A])
    ]

    assert shapes[0] == shapes[1]
    assert shapes[0]["text"] == (2, 16)
    assert shapes[0]["codes"] == (2, 72)


def test_a_row_is_its_text_and_codes_and_then_padding():
    batch = collate(Data(A, B, C), [A, B], 1.5)

    assert batch["text_lengths"].tolist() == [7, 11]
    assert batch["code_lengths"].tolist() == [50, 70]
    assert batch["text"][0].tolist() == [*range(2, 9), *[0] * 9]
    assert batch["codes"][1].tolist() == [*range(70), 0, 0]


def test_voice_comes_from_another_clip_and_emotion_from_either():
    data = Data(A, B)
    batches = [collate(data, [A] * 8, 1.5, seed) for seed in range(5)]
    emotions = np.concatenate([batch["emotion"][:, 0] for batch in batches])

    assert all((batch["conditioning"] == 1).all() for batch in batches)
    assert set(emotions) == {0, 1}
    assert (collate(data, [A] * 8, 1.5, target_emotion=0.0)["emotion"] == 1).all()
    assert (collate(data, [A] * 8, 1.5, target_emotion=1.0)["emotion"] == 0).all()


def test_an_emotion_prompt_of_its_own_comes_first():
    batch = collate(Data(A, B, besides=("b",)), [A, B], 1.5, target_emotion=1.0)

    assert batch["emotion"][:, 0].tolist() == [0, 101]


def test_conditioning_that_trains_gets_semantic_features():
    made = {"train": ["trunk", "conditioning"]}
    batch = collate(Data(A, B, C), [A, B], 1.5, **made, target_emotion=1.0)

    heard = 2 * (15 + 7) + 1  # of 32 features and a kernel of 15
    assert batch["prompt"].shape == batch["mood"].shape == (2, 48, 32)
    assert batch["mood_lengths"].tolist() == [heard, heard]
    assert batch["mood"][1, heard - 1 : heard + 1, 0].tolist() == [1, 0]
    assert "conditioning" not in batch


def test_own_prompt_uses_half_of_the_clip():
    """Its words would leak; the emotion of the clip itself may be of all of it."""
    options = {"train": ["trunk", "conditioning"]}
    own, prompt = (
        collate(Data(B), [B, B], 1.5, **options, target_emotion=share) for share in (1.0, 0.0)
    )

    for batch in (own, prompt):
        assert batch["prompt_lengths"].tolist() == [35, 35]  # of 70
        assert not batch["prompt"][:, 35:].any()
    assert own["mood_lengths"].tolist() == [45, 45]  # as far as the networks hear
    assert prompt["mood_lengths"].tolist() == [35, 35]
    other = collate(Data(A, B), [B], 1.5, **options, target_emotion=0.0)
    assert other["prompt_lengths"].tolist() == other["mood_lengths"].tolist() == [45]


def test_rows_without_an_alignment_are_not_guided():
    data = Data(A, B, alignments={"a": [0] * 20 + [6] * 30, "b": []})
    batch = collate(data, [A, B], 1.5, guided_weight=0.2)

    assert batch["guided"].tolist() == [True, False]
    assert batch["alignment"][0].tolist() == [0] * 20 + [6] * 30 + [0] * 22
    assert "alignment" not in collate(data, [A, B], 1.5)


@pytest.mark.parametrize("path", [[0] * 49, [7] * 50])
def test_an_alignment_of_another_clip_is_refused(path):
    with pytest.raises(InputError, match=r"clip a has an alignment of .*expected 50 and 7"):
        collate(Data(A, B, alignments={"a": path}), [A], 1.5, guided_weight=0.2)


def test_short_prompts_are_whole():
    data = Data(dataclasses.replace(A, codes=20), dataclasses.replace(B, codes=30))
    batch = collate(data, data.rows, 1.5, train=["trunk", "conditioning"], target_emotion=1.0)

    assert batch["prompt"].shape == (2, 32, 32)
    assert batch["prompt_lengths"].tolist() == [30, 20]
    assert batch["mood_lengths"].tolist() == [20, 30]


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Clip("long", 3.0, 7, 170), "clip long has 170 codes; expected 1 to 161"),
        (Clip("wordy", 3.0, 70, 50), "clip wordy has 70 text tokens; expected 1 to 60"),
        (Clip("mute", 3.0, 7, 0), "clip mute has 0 codes; expected 1 to"),
    ],
)
def test_clips_that_do_not_fit_are_refused_by_name(clip, message):
    with pytest.raises(InputError, match=message):
        collate(Data(A, clip), [clip], 3.0)
