"""Opening Parquet files; pyarrow is an optional dependency."""

from typing import IO, Any

from indextts_jax.errors import InputError


def modules(what: str = "parquet") -> tuple[Any, Any]:
    """pyarrow and its Parquet module; `what` needs them.

    Raises:
        InputError: if pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f'{what} needs pyarrow: pip install "indextts-jax[parquet]"') from error
    return pyarrow, pyarrow.parquet


def open_parquet(path: object, file: IO[bytes] | None = None) -> Any:
    """A Parquet file to read from, by its path or already open.

    Raises:
        InputError: without pyarrow, or if it is not a Parquet file.
    """
    _, parquet = modules(f"{path}: parquet")
    try:
        return parquet.ParquetFile(path if file is None else file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a parquet file: {error!s:.120}") from error
