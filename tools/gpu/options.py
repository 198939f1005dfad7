"""What a check is asked for, in a form that goes from process to process."""

import dataclasses

CONFIGS = ("published", "tiny")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Device, sizes, and where files go; lengths follow from the sizes."""

    platform: str = "cuda"
    config: str = "published"
    output: str
    repeats: int = 5
    cache: str | None = None  # directory of compiled programs, reused by later runs

    @property
    def codes(self) -> int:
        """Codes of the short run: one window of the cache at the published sizes."""
        return 128 if self.config == "published" else 6

    @property
    def utterance(self) -> int:
        """Codes of the whole utterance: 10 s."""
        return 500 if self.config == "published" else 10

    @property
    def tokens(self) -> int:
        """Text tokens."""
        return 25 if self.config == "published" else 7

    @property
    def prompt(self) -> float:
        """Seconds of the speaker prompt."""
        return 15.0 if self.config == "published" else 0.5

    @property
    def steps(self) -> int:
        """Steps of the flow."""
        return 25 if self.config == "published" else 2

    @property
    def batches(self) -> tuple[int, ...]:
        """Rows of continuous batching."""
        return (8, 32) if self.config == "published" else (2, 3)
