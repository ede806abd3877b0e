"""Work on a Dask cluster, for the commands that can use one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from schuss.bridges.extras import required
from schuss.errors import InvalidInput


@contextmanager
def on_dask(address: str | None) -> Iterator[None]:
    """While it lasts, networks are trained by the workers of the scheduler at this address; None keeps them here.

    InvalidInput if the package is not installed, or nobody answers.
    """
    if address is None:
        yield
        return
    from joblib import parallel_config

    distributed = required("distributed", "--dask")
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"no Dask scheduler answers at {address}; `dask scheduler` starts one and says its address."
        ) from error
    with client, parallel_config(backend="dask"):
        yield
