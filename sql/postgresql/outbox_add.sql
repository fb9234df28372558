-- Enters: number, header, signature, digest, rows. Leaves: one batch more; it is sealed when this commits.

insert into cdc_sync.outbox (number, header, signature, digest, rows)
values (:number, :header, :signature, :digest, :rows);
