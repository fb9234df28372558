"""What doctor says of rows that were put aside: which of them need a hand, and since when."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from cdc_sync import registry
from cdc_sync.apply import letterbox
from cdc_sync.core.letters import Letter, State
from cdc_sync.databases import Session
from cdc_sync.errors import counted


def told(session: Session, limit: float) -> Iterator[tuple[bool, str]]:
    """Whether it needs a hand, and what there is: for each origin and state that rows wait in.

    Rows that are deferred need one once the oldest has waited for more than ``limit`` seconds.
    """
    if not registry.is_installed(session):
        return
    groups: defaultdict[tuple[str, State], list[Letter]] = defaultdict(list)
    for letter in letterbox.read(session.run("letters")):
        groups[letter.origin, letter.state].append(letter)
    for (origin, state), letters in sorted(groups.items()):
        oldest = min(letter.noted_at for letter in letters)
        rows = len({(letter.table, letter.standing or letter.id) for letter in letters})
        waited = (datetime.now(UTC) - datetime.fromisoformat(oldest)).total_seconds()
        yield (
            state is not State.DEFERRED or waited > limit,
            f"{counted(rows, 'row')} of {origin} {state} since {oldest}",
        )
