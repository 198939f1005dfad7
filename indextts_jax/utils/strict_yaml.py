"""A safe subset of YAML, read as plain data."""

import re
from collections import Counter
from typing import Any

import yaml

MAX_DEPTH = 30  # of nested mappings and lists


class _Loader(yaml.SafeLoader):
    """Rejects aliases (which can expand without limit), duplicate keys and deep nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias{self.peek_event().start_mark}")
        self.depth += 1
        if self.depth > MAX_DEPTH:  # PyYAML's time grows with the square of the depth
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


# YAML 1.2 accepts numbers like 1e-1; PyYAML (YAML 1.1) only 1.0e-1.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def parse(text: str) -> Any:
    """The plain data of a YAML text: dicts, lists, strings, numbers.

    Raises:
        ValueError: with a message of one line, for invalid YAML, an alias, or a duplicate key.
    """
    try:
        return yaml.load(text, _Loader)
    except (
        yaml.YAMLError,
        RecursionError,
        # PyYAML raises these for a tag that does not fit its value, such as `!!timestamp x`.
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
    ) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
