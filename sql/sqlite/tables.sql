-- Enters: nothing. Leaves: the names under which tables can be configured; virtual tables and what is behind them are not.

select m.name from sqlite_master m
where m.type = 'table' and substr(m.name, 1, 7) <> 'sqlite_' and substr(m.name, 1, 9) <> 'cdc_sync_'
    and not exists (
        select 1 from sqlite_master v
        where v.type = 'table' and lower(v.sql) like 'create virtual table%'
            and (v.name = m.name or substr(m.name, 1, length(v.name) + 1) = v.name || '_'))
order by m.name;
