-- What a table's unique columns leave out of account when they compare texts.
-- Enters: name. Leaves: column, what it ignores (nothing where bytes decide), and what to type so that bytes decide.

select x.name,
    case upper(max(x.coll)) when 'BINARY' then '' when 'NOCASE' then 'the case of A to Z' when 'RTRIM' then 'blanks at the end'
        else 'what collation ' || max(x.coll) || ' ignores' end,
    'rebuild table "' || replace(:name, '"', '""') || '" with "' || replace(x.name, '"', '""') || '" collate binary'
from pragma_index_list(:name) i, pragma_index_xinfo(i.name) x
where i."unique" and x.key and x.name is not null
group by x.name;
