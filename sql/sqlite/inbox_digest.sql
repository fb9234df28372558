-- Enters: origin, epoch, number. Leaves: the digest under which that batch is known here.

select digest from cdc_sync_inbox where origin = :origin and epoch = :epoch and number = :number;
