-- A dead letter is as old as its death, or as its redrive if it was redriven: until its delivery is settled it
-- may be all that is left of the message.
DROP INDEX dead_letters_by_time;
CREATE INDEX dead_letters_by_age ON dead_letters (coalesce(redriven_at_ms, died_at_ms));
