-- Enters: what is known of a conflict. Leaves: one conflict more.

insert into cdc_sync_conflict (origin, epoch, number, table_name, seq, kind, policy, outcome, met_origin, met_at, captured_at, source_row, target_row, noted_at)
values (:origin, :epoch, :number, :table_name, :seq, :kind, :policy, :outcome, :met_origin, :met_at,
    :captured_at, :source_row, :target_row, :noted_at);
