import json

import pytest
import support

from indextts_jax import preview
from indextts_jax.cli import runner

TOKENIZER = str(support.DATA / "text" / "bpe_small.model")


@pytest.fixture
def run(capsys):
    def execute(*argv):
        code = runner.execute(
            preview.main,
            preview.define,
            name="preview",
            summary="test",
            common=preview.COMMON,
            argv=list(argv),
        )
        return code, *capsys.readouterr()

    return execute


def test_normalised_text_is_shown(run):
    code, out, err = run("--tokenizer", TOKENIZER, "--text", "[pause 1s] I like 3 books. Room 305")

    assert (code, err) == (0, "")
    assert "I like three books. Room three oh five" in out
    assert "1 s of silence" in out
    assert "▁THREE" in out
    assert "1 segment, " in out


def test_json_has_everything(run):
    code, out, _ = run("--tokenizer", TOKENIZER, "--text", "I like ж 3 ж books.", "--json")
    data = json.loads(out)

    assert code == 0
    assert data["normalised"] == "I like ж three ж books."
    assert [(u["piece"], u["line"], u["column"]) for u in data["unknown"]] == [
        ("Ж", 1, 8),
        ("Ж", 1, 12),
    ]
    assert data["segments"][0]["ids"]
    assert data["segments"][0]["seconds"] > 0


def test_text_warnings_are_shown(run):
    code, _, err = run("--tokenizer", TOKENIZER, "--text", "念ZHUNG4 Ж")

    assert code == 0
    assert "warning: ZHUNG4 is not a pinyin syllable" in err
    assert "warning: the tokenizer does not know: 念 at character 1, " in err
    assert "Ж at character 9" in err


def test_strict_text_is_refused(run):
    code, out, err = run("--tokenizer", TOKENIZER, "--text", "Hi Ж", "--strict_text")

    assert (code, out) == (2, "")
    assert err == "error: the tokenizer does not know Ж at character 4\n"


def test_compat_and_glossary_are_applied(run, tmp_path):
    path = tmp_path / "glossary.yaml"
    path.write_text("nginx: engine X\n")

    assert "A1零零" in run("--tokenizer", TOKENIZER, "--text", "A100", "--text_compat")[1]
    out = run("--tokenizer", TOKENIZER, "--text", "use nginx", "--glossary", str(path))[1]
    assert "use engine X" in out


def test_a_file_is_read(run, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\ufeff两个 hello", encoding="utf-8")

    assert run("--tokenizer", TOKENIZER, "--text_file", str(path))[1].startswith("两个 hello")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--tokenizer", TOKENIZER], "give either --text or --text_file"),
        (["--text", "a"], "give either --checkpoint DIR or --tokenizer FILE"),
        (["--text", "a", "--tokenizer", "x", "--checkpoint", "y"], "give either"),
        (["--text", "a", "--checkpoint", "nowhere"], "nowhere does not exist"),
        (["--text", "a", "--tokenizer", TOKENIZER, "--segment_tokens", "0"], "at least 1"),
        (["--text_file", "nowhere", "--tokenizer", TOKENIZER], "nowhere: No such file"),
        (
            ["--text", "a", "--tokenizer", TOKENIZER, "--glossary", "none.yaml"],
            "none.yaml: No such",
        ),
        (["--text", "[pause x]", "--tokenizer", TOKENIZER], "expected a length"),
    ],
)
def test_bad_input_is_one_line(run, argv, message):
    code, _, err = run(*argv)

    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
