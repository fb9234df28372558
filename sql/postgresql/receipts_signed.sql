-- Enters: nothing. Leaves: signed receipts, with their chain's origin and their giver's public key.

select r.origin, r.data, r.signature, p.public_key from cdc_sync.receipt r join cdc_sync.peer p on p.name = r.giver
where r.data is not null
union all
select origin, data, signature, public_key from cdc_sync.passing;
