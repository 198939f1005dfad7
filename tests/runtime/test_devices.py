"""The choice of a device, and the compilation cache."""

from pathlib import Path

import jax
import pytest

from indextts_jax.errors import InputError
from indextts_jax.runtime import cache_folder, devices


def test_the_cpu_can_be_chosen() -> None:
    device = devices.choose("cpu")
    assert device.platform == "cpu"
    assert devices.describe(device) == "CPU"


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="this machine has an accelerator")
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_missing_device_error_lists_available_ones(platform: str) -> None:
    with pytest.raises(InputError, match=rf"device {platform}.*sees only: cpu"):
        devices.choose(platform)


def test_an_unknown_platform_is_an_error() -> None:
    with pytest.raises(InputError, match="must be one of auto, cpu"):
        devices.choose("abacus")


def test_the_cache_directory_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache_folder.CACHE, str(tmp_path))
    assert cache_folder.cache_directory() == tmp_path


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv(cache_folder.CACHE, str(occupied))
    with pytest.warns(UserWarning, match="compiled programs are not stored"):
        assert cache_folder.enable_compilation_cache() is None
