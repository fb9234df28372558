-- Enters: origin, epoch, number up to which every final destination has applied. Leaves: no parts up to it.

delete from cdc_sync.inbox_part where origin = :origin and epoch = :epoch and number <= :number;
