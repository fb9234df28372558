"""Batches made by hand, for tests of what receives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync.core import chain, device, wire
from cdc_sync.core.change import Field, Kind, Shape
from cdc_sync.core.wire import Header, Sealed, Section


@dataclass
class Maker:
    """A node that seals inserts of rows with a ``code``, each batch after the last; it has no database."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    epoch: str = "e1"
    number: int = 0
    digest: bytes = b""

    @property
    def public(self) -> bytes:
        return device.public_of(self.key)

    def seal(
        self,
        codes: Sequence[str] = ("s1",),
        table: str = "subject",
        counts: Mapping[str, int] | None = None,
        op: str = "I",
        shows: str = "",
    ) -> tuple[Sealed, list[bytes]]:
        """The next batch and its parts: one part for each code."""
        packed = [
            wire.pack_part(table, 1, "rows", wire.pack_rows([[i, op, "2026-01-01T00:00:00+00:00", code]]))
            for i, code in enumerate(codes, 1)
        ]
        shape = Shape(name=table, fields=(Field(name="code", kind=Kind.TEXT),), identity=("code",), key=("code",))
        shape = replace(shape, shows=shows)
        header = Header(
            version=wire.VERSION,
            node=self.name,
            epoch=self.epoch,
            number=self.number + 1,
            previous=self.digest,
            sealed_at="2026-01-01T00:00:00+00:00",
            fingerprint=wire.fingerprint([shape]),
            shapes=(shape,),
            sections=(Section(table=table, counts=counts or {"I": len(codes)}),),
            parts=tuple(part for part, _ in packed),
        )
        sealed = chain.seal(header, self.key)
        self.number, self.digest = header.number, sealed.digest
        return sealed, [data for _, data in packed]
