"""Manifests in Parquet files: our own, or any table with the columns id and uri."""

from __future__ import annotations

import pyarrow as pa

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Source
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import join


def read_parquet(source: Source) -> Manifest:
    """The manifest in a Parquet file; relative addresses count from the root, by default the file's folder.

    `source.label` takes one of its label sets. Raises DataError, also where its classes are not those that are given or
    (`source.multi_label`) it has no lists of labels.
    """
    manifest = Manifest.load(source.path)
    if source.label is not None:
        manifest = manifest.only(source.label)
    if not len(manifest):
        raise DataError(f"{source.path} lists no video: give a table with at least one row")
    classes = manifest.classes if source.classes is None else source.classes
    if manifest.classes is not None and classes != manifest.classes:
        raise DataError(f"the classes of {source.path} are not those that are given: give a manifest with the same list")
    if source.multi_label and (not manifest.multi_label or classes is None):
        raise DataError(f"{source.path} has no column 'labels' with lists of classes and their names: add them")
    addresses = [join(source.base, uri) for uri in manifest.table["uri"].to_pylist()]
    table = manifest.table.set_column(1, "uri", pa.array(addresses, pa.string()))
    return Manifest(table, classes)
