-- Takes changes into the table of known rows: at each identity, the last that came to it or left it. Rows that a REPLACE may
-- have removed go if none stands there now; where one stands, it is known already or another change tells of it.
-- Enters: change, known, table, watched, known_columns, lists of columns that tell rows apart: here (of the change, now), there
--   (of the change, before), apart (of the known row); conditions moved (an update changed them), met (known row k has the
--   identity of event e), noted (known row k has that of change c), stands (row t has that of change c); change_table, upto (seq).
-- Leaves: the changes up to upto known.

create temporary table cdc_sync_events as
select cdc_sync_seq as seq, cdc_sync_op <> 'D' as comes, :{here_named} from :"change"
where cdc_sync_op in ('I', 'U', 'D') and cdc_sync_seq <= :upto
    and cdc_sync_seq > (select known from cdc_sync_captured where change_table = :change_table)
union all
select cdc_sync_seq, 0, :{there} from :"change"
where cdc_sync_op = 'U' and (:{moved}) and cdc_sync_seq <= :upto
    and cdc_sync_seq > (select known from cdc_sync_captured where change_table = :change_table);

delete from :"known" where rowid in (select k.rowid from cdc_sync_events e join :"known" k on :{met});

insert or replace into :"known" (:{known_columns})
select :{watched} from :"change"
where cdc_sync_seq in (
    select seq from (
        select seq, comes, row_number() over (partition by :{apart} order by seq desc) as place from cdc_sync_events)
    where place = 1 and comes);

delete from :"known" where rowid in (
    select k.rowid from :"change" c join :"known" k on :{noted}
    where c.cdc_sync_op = 'R' and c.cdc_sync_seq <= :upto
        and c.cdc_sync_seq > (select known from cdc_sync_captured where change_table = :change_table)
        and not exists (select 1 from :{table} t where :{stands}));

drop table temp.cdc_sync_events;

update cdc_sync_captured set known = :upto where change_table = :change_table and known < :upto;
