-- Capture follows a table within the transaction that changes it. Only a superuser may make event triggers; without this one
-- the trigger functions are guarded (guard.sql), and replicate finds what changed before it seals.
-- Enters: nothing. Leaves: an event trigger.

-- A fault of ours must break no statement of the application's, neither this one nor its next writes: the table loses our
-- triggers, the gap is noted, and replicate captures it anew.
create or replace function cdc_sync.follow() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
declare
    entry record;
begin
    for entry in
        select c.change_table, t.relation, t.branches
        from cdc_sync.captured c
        join cdc_sync.captured_text t using (change_table)
        where not c.paused and exists (
            select from pg_event_trigger_ddl_commands() d
            where d.classid = 'pg_class'::regclass
                and (d.objid = t.relation or d.objid = any (t.branches) or d.objid in (select cdc_sync.branches(t.relation))))
    loop
        begin
            perform cdc_sync.refit(entry.change_table);
            perform cdc_sync.refit_branches(entry.change_table, false);
            if cdc_sync.disabled(entry.change_table) then
                perform cdc_sync.remember(entry.change_table);
            end if;
        exception when others then
            insert into cdc_sync.gap (change_table, reason) values (entry.change_table, 'following its change failed');
            perform cdc_sync.let_go(branch) from unnest(entry.relation || entry.branches) as branch;
            raise warning 'cdc_sync could not follow a change of table %: %', entry.relation, sqlerrm;
        end;
    end loop;
end
$function$;

drop event trigger if exists cdc_sync_follow;
create event trigger cdc_sync_follow on ddl_command_end
    when tag in ('ALTER TABLE', 'CREATE TABLE') execute function cdc_sync.follow();
