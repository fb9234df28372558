-- Capture for one table.
-- Enters: table, change (name of the change table), trigger names, and lists of quoted columns:
--   captured: what is captured; new, old: the same from a row; watched, old_watched: key columns and where their old
--   values stand; exclusive: columns of unique indexes; colliding: condition on a row that has a value of the new row
--   which must be unique; other: condition on a row that is not the old one; when_changed: a when clause that keeps
--   updates out which changed nothing, or nothing.
-- Leaves: one row trigger per event, and two for REPLACE.
-- julianday: a text timestamp costs 2 µs more a row; it becomes one when the batch is sealed. The word 'now' in it
--   would cost another 0.1 µs. That a function is called at all costs 0.75 µs: SQLite keeps a statement journal then.
--   There is no clock without a function, and conflicts are decided by it.
-- One trigger for all updates, and none asks whether it is muted: a second trigger and that question cost 1 µs a row
--   each. Applied changes are captured too, and taken out again before their transaction ends (mute, unmute).
-- Whether an update changed a key is for the seal to see, by the old values beside the new ones: asking here costs
--   0.1 to 0.3 µs of every update.

-- A row that REPLACE removes fires no delete trigger unless the application turns recursive_triggers on. So rows that may
-- be removed are noted before ('R'), and the seal sees from what follows whether they were (databases/reading.py).
create trigger :"replace_trigger" before insert on :"table"
when exists (select 1 from :"table" where :{colliding})
begin
    insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{watched})
    select 'R', julianday(), :{watched} from :"table" where :{colliding};
end;

create trigger :"displace_trigger" before update of :{exclusive} on :"table"
when exists (select 1 from :"table" where (:{colliding}) and :{other})
begin
    insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{watched})
    select 'R', julianday(), :{watched} from :"table" where (:{colliding}) and :{other};
end;

create trigger :"insert_trigger" after insert on :"table"
begin
    insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}) values ('I', julianday(), :{new});
end;

create trigger :"update_trigger" after update on :"table"
:{when_changed}begin
    insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}, :{old_watched})
    values ('U', julianday(), :{new}, :{old});
end;

create trigger :"delete_trigger" after delete on :"table"
begin
    insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{watched}) values ('D', julianday(), :{old});
end;
