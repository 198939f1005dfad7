"""User-defined terms and their readings."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indextts_jax.errors import InputError
from indextts_jax.text.rules.verbalise import Language
from indextts_jax.utils import strict_yaml

Readings = Mapping[Language, str]


@dataclasses.dataclass(frozen=True)
class Glossary:
    """Readings of terms by language; without a reading the term stays as it is."""

    terms: Mapping[str, Readings] = dataclasses.field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, terms: Mapping[Any, Any], where: str = "the glossary") -> "Glossary":
        """A glossary of terms with one reading (a string) or one for each language (zh, en).

        Raises:
            InputError: for a term or a reading of the wrong type, named with its term.
        """
        return cls(
            {_term(key, where): _readings(key, value, where) for key, value in terms.items()}
        )

    @classmethod
    def load(cls, path: str | Path) -> "Glossary":
        """The glossary of a YAML file.

        Raises:
            InputError: if the file cannot be read as a glossary.
        """
        try:
            content = strict_yaml.parse(Path(path).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 at byte {error.start}") from error
        except ValueError as error:
            raise InputError(f"{path} is not YAML: {error!s:.300}") from error
        if not isinstance(content, dict) or not content:
            raise InputError(
                f"{path}: expected terms and their readings, such as `C++: C plus plus`"
            )
        return cls.of(content, str(path))

    def longest_first(self) -> list[tuple[str, Readings]]:
        """The terms, longest first, so that a term comes before those contained in it."""
        return sorted(self.terms.items(), key=lambda item: (-len(item[0]), item[0]))

    def apply_as_reference(self, text: str, language: Language) -> str:
        """The text with its terms replaced one after the other, anywhere and in any case.

        A shorter term can rewrite the reading of a longer one: a quirk of the reference.

        Source: `TextNormalizer.apply_glossary` of the PyTorch release.
        """
        for term, readings in self.longest_first():
            reading = readings.get(language, term).replace("\\", r"\\")
            text = re.sub(re.escape(term), reading, text, flags=re.IGNORECASE)
        return text


def _term(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key.strip():
        raise InputError(f"{where}: a term must be text, got {key!r:.100}; put it in quotes")
    return key


def _readings(term: Any, value: Any, where: str) -> Readings:
    if isinstance(value, str):
        return {"zh": value, "en": value}
    if not isinstance(value, dict) or not value or not set(value) <= {"zh", "en"}:
        raise InputError(
            f"{where}: the reading of {term!r:.100} must be text, or zh and en readings, got "
            f"{value!r:.100}"
        )
    if bad := [reading for reading in value.values() if not isinstance(reading, str)]:
        raise InputError(
            f"{where}: a reading of {term!r:.100} must be text, got {bad[0]!r:.100}; quote it"
        )
    return dict(value)
