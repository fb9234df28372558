-- Enters: origin, epoch, number, header, signature, digest, rows. Leaves: a batch received.

insert into cdc_sync.inbox (origin, epoch, number, header, signature, digest, rows)
values (:origin, :epoch, :number, :header, :signature, :digest, :rows);
