-- Enters: origin, epoch, number of a batch that is applied. Leaves: its header without its parts.

delete from cdc_sync.inbox_part where origin = :origin and epoch = :epoch and number = :number;
