-- What in this server or in our triggers may need a hand.
-- Enters: seconds that a transaction may stay open, privileged (whether this role may make event triggers). Leaves: whether it
-- needs a hand, what it is, what to type.

select true, 'a transaction of ' || coalesce(usename, 'somebody') || ' has been open for ' || date_trunc('second', now() - xact_start)
        || ': nothing written meanwhile can be cleaned up',
    'select pg_terminate_backend(' || pid || ')'
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start < now() - make_interval(secs => :seconds)
union all
select true, 'transaction ' || quote_literal(gid) || ' was prepared ' || date_trunc('second', now() - prepared) || ' ago and never ended',
    'commit prepared ' || quote_literal(gid) || ', or rollback prepared'
from pg_prepared_xacts
where database = current_database() and prepared < now() - make_interval(secs => :seconds)
union all
select :privileged, 'no event trigger follows the tables: a column that is dropped or renamed is noticed by replicate only',
    case when :privileged then 'cdc-sync install-triggers' else 'have a superuser run cdc-sync install-triggers' end
where 2 > (select count(*) from pg_event_trigger where evtname in ('cdc_sync_follow', 'cdc_sync_rewritten') and evtenabled <> 'D')
union all
select t.tgenabled = 'D',
    'triggers of table ' || t.tgrelid::regclass || case when t.tgenabled = 'D' then ' are disabled'
        else ' do not fire for sessions of another replication' end,
    'cdc-sync install-triggers, as the table''s owner'
from pg_trigger t
join pg_proc p on p.oid = t.tgfoid and p.pronamespace = to_regnamespace('cdc_sync')
where t.tgenabled in ('O', 'D', 'R')
group by t.tgrelid, t.tgenabled
union all
select true, 'table ' || r.srrelid::regclass || ' is subscribed to: what native replication applies fires no statement trigger',
    'capture = "row" for it, and cdc-sync install-triggers'
from pg_subscription_rel r
join cdc_sync.captured_text t on t.relation = r.srrelid or r.srrelid = any (t.branches)
join cdc_sync.captured c using (change_table)
where c.settings::jsonb ->> 'capture' is distinct from 'row';
