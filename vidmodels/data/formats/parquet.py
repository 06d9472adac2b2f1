"""Manifests in Parquet files: our own, or any table with the columns id and uri."""

from __future__ import annotations

import pyarrow as pa

from vidmodels.core.errors import DataError
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import join, parent


def read_parquet(path: str, root: str | None = None) -> Manifest:
    """The manifest in a Parquet file; relative addresses count from `root`, by default the file's folder."""
    manifest = Manifest.load(path)
    if not len(manifest):
        raise DataError(f"{path} lists no video: give a table with at least one row")
    base = parent(path) if root is None else root
    addresses = [join(base, uri) for uri in manifest.table["uri"].to_pylist()]
    table = manifest.table.set_column(1, "uri", pa.array(addresses, pa.string()))
    return Manifest(table, manifest.classes)
