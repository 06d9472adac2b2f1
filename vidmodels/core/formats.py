"""Names of the ways in which a data set at a path can be read. Free of everything, for the help of commands."""

from __future__ import annotations

from typing import Literal

Format = Literal[
    "auto", "folder", "classes", "images", "frames", "kinetics", "kinetics_csv", "parquet", "json", "frame_list", "ucf101",
    "hmdb51", "ssv2", "charades", "epic_kitchens", "ego4d_moments",
]  # fmt: skip
