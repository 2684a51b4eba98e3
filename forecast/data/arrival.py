"""May a file enter beside what is there already? Judged by its name and day, its unit, its sign, its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forecast.data.catalog import Catalog, SeriesSpec
from forecast.data.quality import same_numbers, shifted, unit_conflicts, unit_that_fits
from forecast.data.vintages import VintageTable

if TYPE_CHECKING:
    from forecast.data.sources.directory import SeriesFile
    from forecast.data.store import Entry

type Key = tuple[str, str]  # series id and as_of
type Reasons = dict[str, str]  # file name -> why it cannot enter, and the remedy


def key_of(file: SeriesFile, known: Catalog) -> Key:
    """Which vintage a file is."""
    return known[file.table.series].id, f"{file.table.as_of:%Y-%m-%d}"


def twofold(files: Sequence[SeriesFile], known: Catalog) -> Reasons:
    """Files of one folder that claim to be the same vintage."""
    reasons = {}
    for file in files:
        others = [f.name for f in files if f is not file and key_of(f, known) == key_of(file, known)]
        if others:
            series, as_of = key_of(file, known)
            reasons[file.name] = (
                f"{file.name}: {', '.join(others)} is {series} as of {as_of} too. Keep one of them, or correct its day."
            )
    return reasons


def standing(file: SeriesFile, held: Entry | None) -> str:
    """Whether a file is "new", "held", or why it can be neither."""
    if held is None:
        return "new"
    if held.sha256 != file.sha256:
        return (
            f"{file.name}: the archive already holds another file of {held.id} as of {held.as_of} "
            f"({held.file}). Give this one the day on which it was current."
        )
    # A unit that was stated once is not undone by importing the same file without stating it.
    return "held" if file.assumed or held.unit_read == file.unit.name else "new"


def beside_the_archive(fresh: Sequence[SeriesFile], archived: Sequence[VintageTable], known: Catalog) -> Reasons:
    """New files whose unit, sign or labels contradict another vintage, or that hold a neighbour's numbers."""
    reasons: Reasons = {}
    for name in sorted({file.table.series for file in fresh}):
        files = [file for file in fresh if file.table.series == name]
        others = [table for table in archived if table.series == name]
        reasons |= _unit_reasons(files, others, known[name])
        reasons |= _shift_reasons(files, others)
    return reasons | _twin_reasons(fresh, archived, known)


def _unit_reasons(files: Sequence[SeriesFile], others: Sequence[VintageTable], spec: SeriesSpec) -> Reasons:
    found = unit_conflicts([f.table for f in files], [not f.assumed for f in files], others, spec.unit)
    return {files[i].name: wrong_unit(files[i], spec, other, factor) for i, (other, factor) in found.items()}


def wrong_unit(file: SeriesFile, spec: SeriesSpec, other: VintageTable, factor: float) -> str:
    """Which unit, or sign, a file contradicts, and how to say the right one."""
    if factor < 0:
        return (
            f"{file.name}: its values have the opposite sign of those of the vintage of {other.as_of:%Y-%m-%d}. "
            "Correct the one that is wrong."
        )
    fitting = unit_that_fits(file.unit, factor)
    unit = fitting.name if fitting else "UNIT"
    said = f"no unit is stated; read in {file.unit}, the catalogue's," if file.assumed else f"read in {file.unit}"
    otherwise = "" if file.assumed else " If that vintage is the wrong one, import it again with its unit."
    return (
        f"{file.name}: {said} its values are {factor:g} times those of the vintage of {other.as_of:%Y-%m-%d}. "
        f"State its unit: --unit {spec.id}={unit}.{otherwise}"
    )


def _shift_reasons(files: Sequence[SeriesFile], others: Sequence[VintageTable]) -> Reasons:
    reasons = {}
    for file in files:
        for other in others:
            by = shifted(file.table, other)
            if by:
                reasons[file.name] = (
                    f"{file.name}: its values stand one period {'later' if by > 0 else 'earlier'} than in the vintage "
                    f"of {other.as_of:%Y-%m-%d}. Correct its labels."
                )
    return reasons


def twin(name: str) -> str:
    """The same item measured in the other way: the week's average and its Wednesday; empty if there is none."""
    for ending, other in (("_average", "_wednesday"), ("_wednesday", "_average")):
        if name.endswith(ending):
            return name.removesuffix(ending) + other
    return ""


def _twin_reasons(fresh: Sequence[SeriesFile], archived: Sequence[VintageTable], known: Catalog) -> Reasons:
    reasons = {}
    tables = [*archived, *(file.table for file in fresh)]
    for file in fresh:
        for other in tables:
            if other.series == twin(file.table.series) and same_numbers(file.table, other):
                reasons[file.name] = (
                    f"{file.name}: the same numbers as {known[other.series].id} of {other.as_of:%Y-%m-%d}, but one is "
                    "a week's average and the other a Wednesday's level. Import only the one it is."
                )
    return reasons
