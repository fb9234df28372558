-- Enters: nothing. Leaves: id; natural key (3 columns); every other column.

select r.id, s.subject_identifier, v.visit_code, r.panel, r.requisition_identifier, r.drawn
from specimen_requisition r
join subject_visit v on v.id = r.subject_visit_id
join subject s on s.id = v.subject_id
order by r.id;
