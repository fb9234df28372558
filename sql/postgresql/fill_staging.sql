-- Enters: name, columns; then the rows, as COPY text. Leaves: the rows in the staging table.

copy pg_temp.:"name" (:{columns}) from stdin;
