-- Enters: nothing. Leaves: id; natural key (2 columns); every other column.

select v.id, s.subject_identifier, v.visit_code, v.visit_date, v.weight
from subject_visit v
join subject s on s.id = v.subject_id
order by v.id;
