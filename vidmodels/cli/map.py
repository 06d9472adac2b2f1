"""`vidmodels map`: the videos of a file of features as a picture, like ones near each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from vidmodels.cli.output import warn
from vidmodels.core.errors import VidmodelsError

COMMAND = "map"


def run(argv: Sequence[str]) -> int:
    """`vidmodels map FEATURES --out FILE.png [--label NAME]`. Raises DataError and RunError."""
    parser = argparse.ArgumentParser(
        prog="vidmodels map",
        description="Draw the videos of a file of features by their first two principal components: a frame of some, where "
        "there is room, and a dot for each of the others.",
    )
    parser.add_argument("features", metavar="FEATURES.parquet", help="file of `vidmodels features`")
    parser.add_argument("--out", required=True, metavar="FILE.png", help="picture to write")
    parser.add_argument(
        "--label", metavar="NAME",
        help="column with the classes, for the colours, or 'folder', the names of the videos' folders (default: 'label' where "
        "there is one)",
    )  # fmt: skip
    options = parser.parse_args(list(argv))

    from vidmodels.inference.components import principal_plane
    from vidmodels.inference.feature_file import FeatureFile
    from vidmodels.inference.thumbnails import read_thumbnails
    from vidmodels.visual.canvas import save_png
    from vidmodels.visual.scatter import THUMBNAIL, draw_map, with_pictures

    file = FeatureFile(options.features)
    plane = principal_plane(file, options.label or ("label" if "label" in file.columns else None))
    pictures, unreadable = {}, []
    for number in with_pictures(plane.places):
        start, end = plane.spans[number].tolist()
        try:
            pictures[number] = read_thumbnails(plane.uris[number], start, end, 1, None, THUMBNAIL)[0]
        except VidmodelsError as error:
            unreadable.append(str(error))
    if unreadable:
        warn(COMMAND, f"{len(unreadable)} videos have a dot in place of a frame: {unreadable[0]}")
    subtitle = f"{len(plane.ids)} videos of {Path(file.path).name} by the {file.source.output} of {file.source.model}"
    image = draw_map(plane.places, plane.labels, pictures, plane.shares, "Map of videos", subtitle)
    shares = " and ".join(f"{100 * share:.1f} %" for share in plane.shares)
    print(f"{save_png(image, options.out)}: {len(plane.ids)} videos, {len(pictures)} with a frame, {shares} of the variance")
    return 0
