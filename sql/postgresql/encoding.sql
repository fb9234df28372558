-- Enters: nothing. Leaves: the server's encoding, where it does not hold every character.

select current_setting('server_encoding') where current_setting('server_encoding') <> 'UTF8';
