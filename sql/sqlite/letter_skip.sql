-- Enters: id, reason. Leaves: the letter as a record only; nothing waits for it any more.

update cdc_sync_letter set state = 'skipped', standing = null, hint = :reason where id = :id;
