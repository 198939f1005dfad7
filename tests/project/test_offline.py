"""The fixture `offline`, by which other tests show that a command downloads nothing, does bite."""

import importlib
import socket

import pytest

pytestmark = pytest.mark.usefixtures("offline")


def test_other_machines_are_out_of_reach() -> None:
    with socket.socket() as ours, pytest.raises(AssertionError, match="must not use the network"):
        ours.connect(("192.0.2.1", 443))


def test_names_are_not_looked_up() -> None:
    with pytest.raises(AssertionError, match=r"must not look up huggingface\.co"):
        socket.create_connection(("huggingface.co", 443))


def test_this_machine_is_in_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as ours:
        ours.connect(server.getsockname())


@pytest.mark.parametrize("package", ["huggingface_hub", "httpx", "httpx2"])
def test_downloading_modules_cannot_be_loaded(package: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(package)
