-- Capture for one table: its change table, one function per event, and the triggers.
-- Enters: table, schema, change (name of the change table), and lists of quoted columns:
--   definitions: the change table's columns with types; captured: what is captured; old, new: the same from a row;
--   watched, old_watched: key columns and where their old values stand; changed: condition "a key column changed".
-- Leaves: statement-level triggers, and a row-level one for key changes, because transition tables do not pair a
--   row's old image with its new one. security definer: an application needs no right on our schema.

create table cdc_sync.:"change" (
    cdc_sync_seq bigint not null default nextval('cdc_sync.seq'),
    cdc_sync_op "char" not null,
    cdc_sync_captured_at timestamptz not null default now(),
    :{definitions}
);

create function cdc_sync.:"insert_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) select 'I', :{captured} from new_rows;
    return null;
end
$function$;

create function cdc_sync.:"update_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) select 'U', :{captured} from new_rows;
    return null;
end
$function$;

create function cdc_sync.:"delete_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{watched}) select 'D', :{watched} from old_rows;
    return null;
end
$function$;

create function cdc_sync.:"key_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}, :{old_watched}) values ('K', :{new}, :{old});
    return null;
end
$function$;

-- Runs before the rows are gone; truncate holds the table alone, so nothing can slip in between. Partitions are truncated
-- with their parent, and each fires its own trigger: so it is the table that fired which is read.
create function cdc_sync.:"truncate_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    execute $truncated$insert into cdc_sync.:"change" (cdc_sync_op, :{watched}) select 'D', :{watched} from only $truncated$
        || tg_relid::regclass;
    return null;
end
$function$;

create trigger cdc_sync_insert after insert on :{table}
    referencing new table as new_rows for each statement execute function cdc_sync.:"insert_function"();

create trigger cdc_sync_update after update on :{table}
    referencing new table as new_rows for each statement execute function cdc_sync.:"update_function"();

create trigger cdc_sync_delete after delete on :{table}
    referencing old table as old_rows for each statement execute function cdc_sync.:"delete_function"();

create trigger cdc_sync_key after update on :{table}
    for each row when (:{changed}) execute function cdc_sync.:"key_function"();

create trigger cdc_sync_truncate before truncate on :{table}
    for each statement execute function cdc_sync.:"truncate_function"();
