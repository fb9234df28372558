-- Enters: number of a batch; header, signature, digest, number in the new chain (as_number). Leaves: the batch under minus
-- that number, so that no two are in each other's way.

update cdc_sync.outbox set number = -:as_number, header = :header, signature = :signature, digest = :digest where number = :number;
