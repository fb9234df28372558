-- Enters: nothing. Leaves: the publications that take in every table, and so ours.

select pubname from pg_publication where puballtables order by 1;
