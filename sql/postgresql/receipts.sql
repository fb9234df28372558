-- Enters: origin, epoch. Leaves: what each node said last of that chain.

select giver, stored, applied, digest from cdc_sync.receipt where origin = :origin and epoch = :epoch order by giver;
