"""What memory a process takes (Linux)."""

from pathlib import Path

FIELDS = ("VmHWM", "VmRSS", "RssAnon", "RssFile")


def read(process: int | str = "self") -> dict[str, int]:
    """Bytes by field of `/proc/PID/status`; nothing for a process that has ended.

    `VmHWM` is the largest resident set so far, mapped pages of files included; `RssAnon` is what
    the process has taken for itself now.
    """
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines())
    return {name: 1024 * int(value.split()[0]) for name, value in pairs if name in FIELDS}


def show(held: dict[str, int]) -> str:
    """Gigabytes by field."""
    return ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in held.items())
