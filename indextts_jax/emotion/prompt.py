"""The input of the text-to-emotion model: its prompt and tokenizer."""

from typing import Any

from indextts_jax.errors import InputError

SYSTEM = "文本情感分类"
END = "<|endoftext|>"  # between the turns of a prompt
THOUGHT = "</think>"  # a reply up to the last of these is ignored


def prompt_of(text: str) -> str:
    """The model's prompt for a text; special tokens spelled out in the text act as such.

    Source: the chat template of `qwen0.6bemo4-merge/`, with the messages of `QwenEmotion`.
    """
    return f"System: {SYSTEM}{END}\nHuman: {text}{END}\nAssistant:"


class PromptTokenizer:
    """The tokenizer of the text-to-emotion model, from the data of a `tokenizer.json`.

    Raises:
        InputError: if the data is not such a file.
    """

    def __init__(self, data: bytes):
        import tokenizers  # takes a moment, and only this part of the program needs it

        try:
            self.tokenizer: Any = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
        except Exception as error:  # the package raises nothing narrower
            raise InputError(
                f"not a tokenizer.json file: {' '.join(str(error).split())[:160]}"
            ) from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    @property
    def size(self) -> int:
        """The largest id plus one."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def id(self, token: str) -> int | None:
        return self.tokenizer.token_to_id(token)

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def text(self, ids: list[int]) -> str:
        """Decodes a reply, without its thoughts and without special tokens."""
        thought = self.id(THOUGHT)
        if thought is not None and thought in ids:
            ids = ids[len(ids) - ids[::-1].index(thought) :]
        return self.tokenizer.decode(ids, skip_special_tokens=True)
