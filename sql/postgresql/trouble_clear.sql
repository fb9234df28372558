-- Enters: peer, origin. Leaves: nothing noted of them.

delete from cdc_sync.trouble where peer = :peer and origin = :origin;
