import pytest

from indextts_jax.text.v25.markup import apply_markup, upper_names


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("银<行|xing2>", "银<|SPECIAL_TOKEN_2|>XING2<|SPECIAL_TOKEN_2|>"),
        ("<minute|m ih1>", "<|SPECIAL_TOKEN_1|>M IH1<|SPECIAL_TOKEN_1|>"),
        ("a<上手|じょうず>b", "a じょうず b"),
        ("<東京|トーキョー>", " トーキョー "),
        ("<東京|とーきょー>", "<|SPECIAL_TOKEN_2|>とーきょー<|SPECIAL_TOKEN_2|>"),
        ("<かな|かナ>", "<|SPECIAL_TOKEN_1|>かナ<|SPECIAL_TOKEN_1|>"),
        ("<a|b", "<a|b"),
        ("<|SAD|>", "<|SAD|>"),
    ],
)
def test_mark_up_becomes_special_tokens_or_kana(text, marked):
    assert apply_markup(text) == marked


def test_names_of_special_tokens_are_upper_case():
    assert (
        upper_names("<|sad|><|tts/sp03|> <|en|> <||> <|a") == "<|SAD|><|TTS/SP03|> <|EN|> <||> <|a"
    )
