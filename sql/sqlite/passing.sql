-- Enters: origin, epoch. Leaves: who gave receipts of that chain that are only handed on, under which key.

select giver, public_key from cdc_sync_passing where origin = :origin and epoch = :epoch;
