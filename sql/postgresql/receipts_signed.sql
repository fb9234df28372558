-- Enters: nothing. Leaves: the receipts that others signed, with their chain's origin and their giver's public key.

select r.origin, r.data, r.signature, p.public_key from cdc_sync.receipt r join cdc_sync.peer p on p.name = r.giver
where r.data is not null order by r.giver, r.origin, r.epoch;
