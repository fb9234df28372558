-- Triggers cannot be muted here without a question in each of them: unmute takes out what they captured.
-- Enters, leaves: nothing.

select 1;
