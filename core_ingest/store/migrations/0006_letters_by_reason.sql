-- How many dead letters wait, by reason, is looked at all the time: without their bodies.

CREATE INDEX dead_letters_waiting_by_reason ON dead_letters (reason) WHERE state = 'waiting';
