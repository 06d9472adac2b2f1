"""`vidmodels search`: the videos of a file of features that are most like a video."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels.cli.asking import add_device_option, check_exists, positive
from vidmodels.cli.features import open_encoder, source_of
from vidmodels.cli.output import print_json, warn
from vidmodels.core.errors import ConfigError, VidmodelsError

if TYPE_CHECKING:
    import numpy as np

    from vidmodels.inference.feature_file import FeatureFile
    from vidmodels.inference.search import Neighbour

COMMAND = "search"
FRAMES = 8


def run(argv: Sequence[str]) -> int:
    """`vidmodels search FEATURES QUERY [--top K] [--out FILE.png]`. Raises DataError, MediaError and ConfigError."""
    parser = argparse.ArgumentParser(
        prog="vidmodels search",
        description="Find the videos whose features have the largest cosine with those of a video; the features of a video are "
        "the mean of those of its windows. The whole file is compared, one part in memory at a time.",
    )
    parser.add_argument("features", metavar="FEATURES.parquet", help="file of `vidmodels features`")
    parser.add_argument("query", help="a video, or the name of a video in the file, which is not decoded again")
    parser.add_argument("--top", type=positive, default=5, metavar="K", help="videos that are named (default: 5)")
    parser.add_argument("--out", metavar="FILE.png", help="write a picture: the query above, a row of frames for each video")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--model", metavar="NAME", help="model of the query (default: the one that the file names)")
    parser.add_argument("--weights", metavar="FILE", help="its weights, where they lie elsewhere than the file says")
    add_device_option(parser)
    options = parser.parse_args(list(argv))

    from vidmodels.inference.feature_file import FeatureFile
    from vidmodels.inference.search import find_video, nearest_videos

    file = FeatureFile(options.features)
    found = find_video(file, options.query)
    query, vector = _computed(file, options) if found is None else found
    neighbours = nearest_videos(file, vector, options.top, None if found is None else query.id)
    if len(neighbours) < options.top:
        warn(COMMAND, f"{options.features} holds {len(neighbours)} other videos only, and {options.top} were asked for")
    picture = None if options.out is None else str(save_strips(file, query, neighbours, options.out))
    if options.json:
        answer: dict[str, Any] = {"query": options.query, "features": options.features, "model": file.source.model}
        print_json(answer | {"neighbours": [each.to_dict() for each in neighbours], "picture": picture})
        return 0
    print(options.query)
    for each in neighbours:
        print(f"  {each.similarity:.4f}  {each.uri}{'' if each.label is None else f'  ({each.label})'}")
    if picture is not None:
        print(f"  {picture}")
    return 0


def _computed(file: FeatureFile, options: argparse.Namespace) -> tuple[Neighbour, np.ndarray]:
    """The query and its embedding by the model of the file, of windows taken as there."""
    import numpy as np

    from vidmodels.inference.search import Neighbour

    check_exists(options.query)
    source = file.source
    if not (source.weights or options.weights or options.model):
        raise ConfigError(
            f"{file.path} was made by {source.model} with initial weights, which nobody can load again: ask for a video of the "
            "file, or make it with trained weights"
        )
    name = options.model or source.model
    given = options.weights or (None if options.model else source.weights)
    asked = argparse.Namespace(
        name=name, weights=given, num_classes=None, device=options.device, precision=source.precision, batch_size=8
    )
    predictor = open_encoder(COMMAND, asked, source.output == "projection")
    clips, stride = int(source.clips) if source.clips else None, float(source.stride) if source.stride else None
    own = source_of(predictor, clips, stride)
    if not source.comparable(own):
        raise ConfigError(f"{file.path} holds {source}, and the query's are {own}: give the model that made the file")
    embeddings = predictor.features(options.query, clips, stride)
    vector = np.stack([each.vector for each in embeddings]).mean(0, dtype=np.float64)
    return Neighbour(options.query, options.query, 1.0, embeddings[0].start, embeddings[-1].end), vector


def save_strips(file: FeatureFile, query: Neighbour, neighbours: Sequence[Neighbour], path: str) -> Path:
    """The sheet of a query and its neighbours; of a video that cannot be read any more it has empty frames."""
    import numpy as np

    from vidmodels.inference.thumbnails import GROUND, read_thumbnails
    from vidmodels.visual.canvas import save_png
    from vidmodels.visual.panels import CELL, Strip, draw_strips
    from vidmodels.visual.text import shorten

    size: tuple[int, int] | None = None
    strips = []
    for number, each in enumerate([query, *neighbours]):
        note = f"{each.similarity:.3f}" + (f"  {shorten(each.label, 16)}" if each.label else "") if number else "query"
        try:
            frames = read_thumbnails(each.uri, each.start, each.end, FRAMES, size, CELL)
        except VidmodelsError as error:
            warn(COMMAND, str(error))
            frames, note = np.full((FRAMES, *(size or (CELL, CELL)), 3), GROUND, np.uint8), f"{note}  not readable"
        size = size or (frames.shape[1], frames.shape[2])
        strips.append(Strip(frames, Path(each.uri).name, note, number < 2))
    subtitle = f"cosine of the {file.source.output} of {file.source.model}, {file.rows} windows in {Path(file.path).name}"
    return save_png(draw_strips(strips, "Nearest videos", subtitle), path)
