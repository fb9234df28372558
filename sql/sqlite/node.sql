-- Enters: nothing. Leaves: this node's name, epoch and public key, if it has been installed.

select name, epoch, public_key from cdc_sync_node;
