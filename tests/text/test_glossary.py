import pytest

from indextts_jax.errors import InputError
from indextts_jax.text.glossary import Glossary
from indextts_jax.text.normalize import normalise

TERMS = {
    "PCIe 5.0": "PCIe five",
    "PCIe": {"en": "P C I E"},
    "AHCI": "A H C I",
    "only": {"zh": "只"},
}


def test_a_reading_is_not_rewritten_by_another_term():
    assert normalise("PCIe 5.0 and pcie", Glossary.of(TERMS)).text == "PCIe five and P C I E"


def test_terms_are_whole_words():
    assert normalise("AHCIs and ahci", Glossary.of(TERMS)).text == "AHCIs and A H C I"
    assert normalise("支持AHCI模式", Glossary.of(TERMS)).text == "支持A H C I模式"


def test_a_term_without_a_reading_in_the_language_stays():
    assert normalise("only one", Glossary.of(TERMS)).text == "only one"


def test_a_file_is_read(tmp_path):
    path = tmp_path / "glossary.yaml"
    path.write_text("C++: {zh: C加加, en: C plus plus}\nnginx: engine X\n", encoding="utf-8")

    assert Glossary.load(path).terms == {
        "C++": {"zh": "C加加", "en": "C plus plus"},
        "nginx": {"zh": "engine X", "en": "engine X"},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n- b\n", "expected terms and their readings"),
        ("", "expected terms and their readings"),
        ("a: [", "is not YAML"),
        ("5: five\n", "a term must be text, got 5"),
        ("a: 5\n", "the reading of 'a' must be text"),
        ("a: {fr: b}\n", "the reading of 'a' must be text, or zh and en"),
        ("a: {zh: 5}\n", "a reading of 'a' must be text, got 5"),
        ("a: {}\n", "the reading of 'a' must be text"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, message):
    path = tmp_path / "glossary.yaml"
    path.write_text(content)

    with pytest.raises(InputError, match=message) as error:
        Glossary.load(path)
    assert "glossary.yaml" in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"glossary\.yaml: No such file"):
        Glossary.load(tmp_path / "glossary.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "glossary.yaml"
    path.write_bytes(b"a: \xff\n")

    with pytest.raises(InputError, match="is not UTF-8 at byte 3"):
        Glossary.load(path)


def test_terms_that_a_text_does_not_hold_cost_little_and_change_nothing() -> None:
    """20,000 terms: as one pattern they take minutes for a page."""
    many = {f"term{number}x": f"reading {number}" for number in range(20_000)}
    known = {"C++": "C plus plus", "Straße": "street", "İzmir": "Izmir"}
    text = "C++ runs in the straße of İzmir, term7x and term77 too. " * 20
    found = normalise(text, Glossary.of(many | known))
    assert found == normalise(text, Glossary.of({"term7x": "reading 7"} | known))
    assert "reading seven and term" in found.text
