-- Whether anything writes when a table is written: triggers of the application, cascading foreign keys.
-- Enters: schema (not used), name. Leaves: one row if so.

select 1 from sqlite_master m
where m.type = 'trigger' and lower(m.tbl_name) = lower(:name) and substr(m.name, 1, 9) <> 'cdc_sync_'
union all
select 1 from sqlite_master m, pragma_foreign_key_list(m.name) f
where m.type = 'table' and lower(f."table") = lower(:name)
    and not (f.on_update in ('NO ACTION', 'RESTRICT') and f.on_delete in ('NO ACTION', 'RESTRICT'))
limit 1;
