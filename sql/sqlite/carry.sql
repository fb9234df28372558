-- Carries changes that are not in a sealed batch yet from a change table to the one that takes its place.
-- Enters: change, former (change tables), columns of the one, and what is carried of the other; former_table (its name).
-- Leaves: the changes, under the same seq.

insert into :"change" (cdc_sync_seq, cdc_sync_op, cdc_sync_captured_at, cdc_sync_for:{columns})
select cdc_sync_seq, cdc_sync_op, cdc_sync_captured_at, cdc_sync_for:{carried} from :"former"
where cdc_sync_seq > (select sealed from cdc_sync_captured where change_table = :'former_table');
