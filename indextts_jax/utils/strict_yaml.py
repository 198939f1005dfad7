"""YAML as plain data, and no more of it than settings need."""

import re
from collections import Counter
from typing import Any

import yaml

MAX_DEPTH = 30  # of settings in settings


class _Loader(yaml.SafeLoader):
    """No aliases, which can stand for endless data, no key twice, no deep nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias{self.peek_event().start_mark}")
        self.depth += 1
        if self.depth > MAX_DEPTH:  # the time that PyYAML takes grows with the square of it
            raise yaml.YAMLError(f"nested too deep{self.peek_event().start_mark}")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key.value, str))
            if twice := [key for key, count in keys.items() if count > 1]:
                raise yaml.YAMLError(f"key {min(twice)} twice{node.start_mark}")
        return super().construct_mapping(node, deep)


# YAML 1.2 writes a number as 1e-1, where PyYAML wants 1.0e-1.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def parse(text: str) -> Any:
    """What a YAML text says: dicts, lists, words, numbers.

    Raises:
        ValueError: on one line, for what is no YAML, an alias, or a key that comes twice.
    """
    try:
        return yaml.load(text, _Loader)
    except (
        yaml.YAMLError,
        RecursionError,
        # What PyYAML raises for a tag that does not fit its value, such as `!!timestamp x`.
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
    ) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
