-- Enters: nothing. Leaves: this machine's time, in seconds since 1970.

select (julianday('now') - 2440587.5) * 86400.0;
