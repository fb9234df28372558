-- Enters: origin, epoch, number. Leaves: the batch's header.

select header from cdc_sync_inbox where origin = :origin and epoch = :epoch and number = :number;
