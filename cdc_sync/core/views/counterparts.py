"""The same view in another database: its definition there, and in which way one that is there shows something else."""

from collections.abc import Iterator, Mapping

from cdc_sync.core import views
from cdc_sync.core.change import Column, Table
from cdc_sync.core.renames import Renames
from cdc_sync.core.views import translation
from cdc_sync.core.views.translation import NAMES, Untranslatable
from cdc_sync.errors import SchemaMismatch


class Counterpart:
    """A view over ``base``, which another database of kind ``to`` has in the place of its table."""

    def __init__(self, defined: views.Defined, renames: Renames, base: Table, to: str) -> None:
        self.defined, self.renames, self.base, self.to = defined, renames, base, to
        self.view, self.kind = defined.view, defined.kind

    @property
    def name(self) -> str:
        return self.renames.table(self.defined.name)

    def columns(self) -> Iterator[tuple[str, str]]:
        """Its columns, each with its expression. Raises SchemaMismatch for one that cannot be said there."""
        for name, text in self.view.expressions:
            there = self.renames.column(self.defined.name, name)
            yield there, self._said(text, f"column {there!r}", condition=False)

    def condition(self) -> str:
        """The condition for its rows, or nothing. Raises SchemaMismatch as ``columns`` does."""
        return self._said(self.view.condition, "its filter", condition=True) if self.view.condition else ""

    def script(self) -> str:
        """What makes the view. Raises SchemaMismatch where it cannot be the same there."""
        listed = ",\n    ".join(f"{text} as {views.quoted(name)}" for name, text in self.columns())
        condition = self.condition()
        source = ".".join(views.quoted(part) for part in (self.base.schema, self.base.name) if part)
        name = ".".join(map(views.quoted, self.name.split(".")))
        where = f"\nwhere {condition}" if condition else ""
        return f"create view {name} as\nselect\n    {listed}\nfrom {source}{where};\n"

    def _said(self, text: str, what: str, *, condition: bool) -> str:
        for name in views.reads(text, self.kind):
            if self._column(name) is None:
                raise SchemaMismatch(
                    f"view {self.name!r} cannot be made: {what} reads column {self._called(name)!r}, "
                    f"which table {self.base.name!r} does not have",
                    hint="add the column there",
                )
        try:
            if self.kind != self.to and views.plain(text) is None and self._collated(text):
                raise Untranslatable(f"{text}, by a collation of {NAMES[self.kind]}")
            return translation.translate(text, self.kind, self.to, self._kinds(), self._quoted, condition=condition)
        except Untranslatable as found:
            raise SchemaMismatch(
                f"view {self.name!r} cannot be made: {what} holds {found}, which is not known to mean the same in "
                f"{NAMES[self.to]}",
                hint=f"create the view there yourself, or write this with what {NAMES[self.to]} has, too",
            ) from None

    def _collated(self, text: str) -> bool:
        return not set(self.view.collated).isdisjoint(views.reads(text, self.kind))

    def _called(self, column: str) -> str:
        return self.renames.column(self.view.table, column)

    def _column(self, column: str) -> Column | None:
        return self.base.column(self._called(column))

    def _quoted(self, column: str) -> str:
        return views.quoted(self._called(column))

    def _kinds(self) -> translation.Kinds:
        names = {name for _, text in self.view.expressions for name in views.reads(text, self.kind)} | {
            *self.view.reads
        }
        return {name: found.kind for name in names if (found := self._column(name)) is not None}

    # --- one that is there

    def differences(self, shown: Table) -> Iterator[str]:
        """In which way a view that is there shows something else, in words, each about the view there."""
        there = shown.view
        if there is None or self.base.view is not None:
            return
        if there.base is None:
            yield there.refusal
            return
        if there.base.called != self.base.called:
            yield f"it shows table {there.base.name!r}, and not {self.base.name!r}"
            return
        kinds = {column.name: column.kind for column in there.base.columns}
        yield from self._columns_differ(dict(there.expressions), kinds)
        try:
            condition = self.condition()
        except SchemaMismatch as error:
            yield f"its rows cannot be compared: {error}"
            return
        if not translation.same(condition, there.condition, self.to, kinds):
            yield f"its filter is {there.condition or 'none'}, and would be {condition or 'none'}"

    def _columns_differ(self, there: Mapping[str, str], kinds: translation.Kinds) -> Iterator[str]:
        for name, text in self.view.expressions:
            called = self.renames.column(self.defined.name, name)
            if called not in there:
                yield f"it has no column {called!r}"
                continue
            try:
                said = self._said(text, f"column {called!r}", condition=False)
            except SchemaMismatch as error:
                yield f"its column {called!r} cannot be compared: {error}"
                continue
            if not translation.same(said, there[called], self.to, kinds):
                yield f"its column {called!r} is {there[called]}, and would be {said}"
        mine = {self.renames.column(self.defined.name, name) for name, _ in self.view.expressions}
        yield from (f"it has column {name!r} besides" for name in there if name not in mine)
