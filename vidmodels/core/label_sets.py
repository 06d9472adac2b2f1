"""Several sets of classes on one clip, such as its verb and its noun: their names, and their places in a row of numbers.

K classes of all sets. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vidmodels.core.errors import ConfigError

NumClasses = int | Mapping[str, int]
"""How many classes a model has: a number, or (several label sets) a number for each set by its name."""


class LabelSets(tuple[str, ...]):
    """The classes of all sets in one row of K names, each with its set before it: "noun: cup", "verb: take".

    A tuple of names, so that what deals with classes by their number deals with these too; `sets` has the plain names of each
    set. Sets stand in the order of their names, because files that say how many classes each has keep no order.
    Raises ConfigError for names of sets that are no words, and sets that are empty or name a class twice.
    """

    sets: dict[str, tuple[str, ...]]

    def __new__(cls, sets: Mapping[str, Sequence[str]]) -> LabelSets:
        ordered = {name: tuple(sets[name]) for name in sorted(sets)}
        for name, classes in ordered.items():
            check_set_name(name)
            if not classes or len(set(classes)) < len(classes):
                raise ConfigError(f"the label set {name} is empty or names a class twice: give each of its classes once")
        made = super().__new__(cls, (f"{name}: {each}" for name, classes in ordered.items() for each in classes))
        made.sets = ordered
        return made

    def __getnewargs__(self) -> tuple[dict[str, tuple[str, ...]]]:
        return (self.sets,)

    @property
    def sizes(self) -> dict[str, int]:
        """How many classes each set has."""
        return {name: len(classes) for name, classes in self.sets.items()}

    @property
    def columns(self) -> dict[str, slice]:
        """The place of each set in a row of K numbers."""
        return columns_of(self.sizes)


def columns_of(sizes: Mapping[str, int]) -> dict[str, slice]:
    """The place of each set in a row of the classes of all sets, in the order of the sets' names."""
    return dict(_places(sizes))


def _places(sizes: Mapping[str, int]) -> Iterator[tuple[str, slice]]:
    start = 0
    for name in sorted(sizes):
        yield name, slice(start, start + sizes[name])
        start += sizes[name]


def parts_of(classes: Sequence[str]) -> dict[str, tuple[slice, Sequence[str]]]:
    """The place of each label set in a row of K numbers, and its classes; by '' those of one set without a name."""
    if not isinstance(classes, LabelSets):
        return {"": (slice(0, len(classes)), classes)}
    return {name: (place, classes.sets[name]) for name, place in classes.columns.items()}


def num_classes_of(classes: Sequence[str]) -> NumClasses:
    """What a model of these classes is created with."""
    return classes.sizes if isinstance(classes, LabelSets) else len(classes)


def total_of(num_classes: NumClasses) -> int:
    """The classes of all sets."""
    return num_classes if isinstance(num_classes, int) else sum(num_classes.values())


def classes_of(names: Sequence[str], num_classes: NumClasses | None) -> tuple[str, ...]:
    """The classes of a model from a plain list of their names, with their sets where the model has several.

    names: as `LabelSets` has them, or plain, of all sets in the order of the sets' names. Raises ConfigError where they do not
    fit `num_classes`, the classes that the model was created with.
    """
    if not isinstance(num_classes, Mapping):
        return tuple(names)
    if len(names) != total_of(num_classes):
        said = ", ".join(f"{size} of {name}" for name, size in sorted(num_classes.items()))
        raise ConfigError(f"{len(names)} class names do not fit the label sets of the model ({said}): give a name for each")
    return LabelSets(
        {name: [each.removeprefix(f"{name}: ") for each in names[place]] for name, place in columns_of(num_classes).items()}
    )


def numbered_classes(num_classes: NumClasses) -> tuple[str, ...]:
    """Names of the classes of a model whose weights bring none."""
    if isinstance(num_classes, int):
        return tuple(f"class {number}" for number in range(num_classes))
    return LabelSets({name: numbered_classes(size) for name, size in num_classes.items()})


def name_of(label: int | Sequence[int], classes: Sequence[str]) -> str:
    """In words the class of a label, or the classes of the labels of all sets; '' where there is none (-1)."""
    if isinstance(label, int):
        return classes[label] if label >= 0 else ""
    assert isinstance(classes, LabelSets)
    return ", ".join(names[number] for number, names in zip(label, classes.sets.values()) if number >= 0)


def check_set_name(name: str) -> None:
    """Raise ConfigError for a name that cannot be a part of names of parameters, columns and files."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ConfigError(f"a label set cannot be called {name!r}: a name has letters, digits and '_', a letter first")
    if name == "action":
        raise ConfigError("a label set cannot be called 'action', which is all sets together: choose another name")
