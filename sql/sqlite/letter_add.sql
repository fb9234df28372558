-- Enters: what a letter holds. Leaves: one letter more.

insert into cdc_sync_letter (origin, epoch, number, table_name, seq, state, awaits, standing, code, message, hint, encoding, keyed, counts, data, noted_at)
values (:origin, :epoch, :number, :table_name, :seq, :state, :awaits, :standing, :code, :message, :hint, :encoding, :keyed, :counts, :data, :noted_at);
