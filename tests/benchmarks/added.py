"""From writers' times to figures: what each variant adds to no trigger at all, and ours against each rival."""

from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.measure import Figure, Ratio, Samples, added

NONE, OURS = "no trigger", "cdc-sync"
VIEW_TOO, VIEW_ALONE = VIEWS = "cdc-sync, view too", "cdc-sync, view alone"
"""The table and a view over it are synced; the view alone is."""

VIEW = "at most 1.1"
"""Asked of both, against the table alone."""

UNIT = "µs/row"

Times = Mapping[str, Sequence[float]]
"""A workload's samples, by variant."""

Targets = Mapping[str, Mapping[str, str]]
"""The ratios asked of ours, by rival and workload: of what both add; against no trigger, of all that a row takes."""


def figures(samples: Samples, targets: Targets) -> list[Figure]:
    """Ours is compared with everyone whom ``targets`` names, in that order."""
    return [figure for workload, times in samples for figure in _workload(workload, times, targets)]


def _workload(workload: str, times: Times, targets: Targets) -> Iterator[Figure]:
    yield _figure(workload, f"{NONE}, total", times[NONE])
    if NONE in targets:
        yield _figure(workload, f"{OURS}, total", times[OURS], _ratios(workload, times, targets, [NONE]))
    more = {variant: added(times, variant, NONE) for variant in times}
    rivals = [rival for rival in targets if rival != NONE]
    for rival in rivals:
        yield _figure(workload, f"{rival}, added", more[rival])
    yield _figure(workload, f"{OURS}, added", more[OURS], _ratios(workload, more, targets, rivals))
    for view in (view for view in VIEWS if view in times):
        ratio = Ratio(against=OURS, ours=more[view], rival=more[OURS], target=VIEW)
        yield _figure(workload, f"{view}, added", more[view], [ratio])


def _figure(workload: str, variant: str, samples: Sequence[float], ratios: Sequence[Ratio] = ()) -> Figure:
    return Figure(workload=workload, variant=variant, unit=UNIT, samples=samples, ratios=ratios)


def _ratios(workload: str, times: Times, targets: Targets, rivals: Sequence[str]) -> list[Ratio]:
    return [
        Ratio(against=rival, ours=times[OURS], rival=times[rival], target=targets[rival].get(workload, ""))
        for rival in rivals
    ]
