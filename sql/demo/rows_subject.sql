-- Enters: nothing. Leaves: id; natural key (1 column); every other column.

select id, subject_identifier, initials, dob, gender, consented
from subject
order by id;
