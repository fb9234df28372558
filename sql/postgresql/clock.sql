-- Enters: nothing. Leaves: the server's time, in seconds since 1970.

select extract(epoch from clock_timestamp())::float8;
