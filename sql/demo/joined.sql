-- Enters: nothing. Leaves: every subject with its visits and their requisitions side by side, for people to read.

select s.id, s.subject_identifier, s.initials, v.id, v.visit_code, r.id, r.panel, r.drawn
from subject s
left join subject_visit v on v.subject_id = s.id
left join specimen_requisition r on r.subject_visit_id = v.id
order by s.id, v.id, r.id;
