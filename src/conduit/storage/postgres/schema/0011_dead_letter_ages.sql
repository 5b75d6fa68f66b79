-- expand
-- A dead letter is as old as its death, or as its redrive if it was redriven: until its delivery is settled it
-- may be all that is left of the message.
CREATE INDEX dead_letters_by_age ON conduit.dead_letters (coalesce(redriven_at_ms, died_at_ms));
DROP INDEX conduit.dead_letters_by_time;
