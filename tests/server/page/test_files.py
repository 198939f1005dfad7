"""The page's files: small, whole, strict, and in both languages."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from indextts_jax.server.page import FILES, page_routes

ALL = sorted(path for path in FILES.rglob("*") if path.is_file())
SCRIPTS = [path for path in ALL if path.suffix == ".js" and path.parent.name != "strings"]
DOCUMENT = (FILES / "index.html").read_text("utf-8")
LANGUAGES = ("en", "zh")


def strings(language: str) -> dict[str, str]:
    text = (FILES / "strings" / f"{language}.js").read_text("utf-8")
    return json.loads(text.removeprefix("export default ").strip().removesuffix(";"))


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=page_routes()))


def test_page_weighs_less_than_150_kb() -> None:
    assert sum(path.stat().st_size for path in ALL) < 150_000


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_files_are_short_and_name_no_other_origin(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    if path.suffix != ".txt":
        known = ("http://www.w3.org/2000/svg", "https:// ", "https:// 地")
        others = re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.[\w./-]+", text)
        assert [address for address in others if address not in known] == []


def test_document_has_nothing_inline() -> None:
    inline = r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:"
    assert re.findall(inline, DOCUMENT) == []


def test_every_label_names_a_control_and_ids_are_unique() -> None:
    ids = re.findall(r'\sid="([^"]+)"', DOCUMENT)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\sfor="([^"]+)"', DOCUMENT)) <= set(ids)


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    english, chinese = map(strings, LANGUAGES)
    assert list(english) == list(chinese)
    values = {key: set(re.findall(r"\{\w+\}", text)) for key, text in english.items()}
    assert {key: set(re.findall(r"\{\w+\}", text)) for key, text in chinese.items()} == values


def test_every_text_that_is_named_exists_and_is_used() -> None:
    known = set(strings("en"))
    code = "".join(path.read_text("utf-8") for path in SCRIPTS)
    named = set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', DOCUMENT))
    named |= set(re.findall(r'\bt\("([\w.]+)"', code))
    assert named - known == set()
    made = {key for key in known if f'"{key}"' in code}  # as a value, before it is looked up
    families = ("emotion.", "theme.", "state.", "about.", "tab.")
    unused = {key for key in known - named - made if not key.startswith(families)}
    assert unused == set()


def test_elements_that_scripts_name_exist() -> None:
    code = "".join(path.read_text("utf-8") for path in SCRIPTS)
    ids = set(re.findall(r'\sid="([^"]+)"', DOCUMENT))
    assert set(re.findall(r'\bfind\("([\w-]+)"\)', code)) - ids == set()


def test_icons_that_are_named_exist() -> None:
    known = set(re.findall(r'<symbol id="icon-([^"]+)"', DOCUMENT))
    code = "".join(path.read_text("utf-8") for path in SCRIPTS)
    named = set(re.findall(r'data-icon="([^"]+)"', DOCUMENT))
    named |= set(re.findall(r'\b(?:icon|iconButton)\("([^"]+)"', code))
    assert named <= known


def test_policy_allows_nothing_from_elsewhere_and_nothing_inline(client: TestClient) -> None:
    for address in ("/", "/page/main.js"):
        policy = client.get(address).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


def test_files_have_their_types_whatever_the_system_says(client: TestClient) -> None:
    wanted = {
        "main.js": "text/javascript; charset=utf-8",
        "base.css": "text/css; charset=utf-8",
        "favicon.svg": "image/svg+xml",
    }
    for name, kind in wanted.items():
        assert client.get(f"/page/{name}").headers["content-type"] == kind


def test_a_file_that_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/page/main.js").headers["etag"]
    again = client.get("/page/main.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["../page.py", "..%2fpage.py", "%2e%2e/page.py", "nothing.js", "", "strings", "a%00b"]
)
def test_only_files_of_the_page_are_served(client: TestClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404
