-- Where no event trigger may follow the table's columns, a column that is renamed or dropped must not make the
-- application's writes fail: the gap is noted, and the next replicate closes it by reading the table again.
-- Enters: change. Leaves: the end of a trigger function.

exception when undefined_column or undefined_table or undefined_function or datatype_mismatch or not_null_violation then
    insert into cdc_sync.gap (change_table, reason) values (:'change', 'its columns changed');
    return null;
