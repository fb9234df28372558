"""From writers' times to figures: what each variant adds to no trigger at all, and ours against each rival."""

from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.measure import Figure, Ratio, Samples, added

NONE, OURS = "no trigger", "cdc-sync"
UNIT = "µs/row"


def figures(samples: Samples, rivals: Sequence[str], targets: Mapping[str, str]) -> list[Figure]:
    """``targets`` is what is asked of ours against the first rival, by workload."""
    return [figure for workload, times in samples for figure in _workload(workload, times, rivals, targets)]


def _workload(
    workload: str, times: Mapping[str, Sequence[float]], rivals: Sequence[str], targets: Mapping[str, str]
) -> Iterator[Figure]:
    yield Figure(workload=workload, variant=f"{NONE}, total", unit=UNIT, samples=times[NONE])
    ours = added(times, OURS, NONE)
    ratios = []
    for rival in rivals:
        theirs = added(times, rival, NONE)
        target = targets.get(workload, "") if rival == rivals[0] else ""
        ratios.append(Ratio(against=rival, ours=ours, rival=theirs, target=target))
        yield Figure(workload=workload, variant=f"{rival}, added", unit=UNIT, samples=theirs)
    yield Figure(workload=workload, variant=f"{OURS}, added", unit=UNIT, samples=ours, ratios=ratios)
