-- Enters: origin, epoch, number, part, data. Leaves: one part more.

insert into cdc_sync.inbox_part (origin, epoch, number, part, data) values (:origin, :epoch, :number, :part, :data);
