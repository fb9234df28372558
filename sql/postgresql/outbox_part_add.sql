-- Enters: number, part, data. Leaves: one part more.

insert into cdc_sync.outbox_part (number, part, data) values (:number, :part, :data);
