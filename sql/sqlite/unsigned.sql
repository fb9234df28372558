-- Enters: node, public_key. Leaves: chains of which this node has signed no receipt that says what is so now.

select p.origin, p.epoch from cdc_sync_position p
left join cdc_sync_passing s on s.origin = p.origin and s.epoch = p.epoch and s.giver = :node and s.public_key = :public_key
where p.stored > 0 and (s.giver is null or s.stored <> p.stored or s.applied <> p.applied) order by p.origin, p.epoch;
