-- An epoch that its publisher never reports is silent from the day on which it became known.

ALTER TABLE ledger_epochs ADD COLUMN known timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN ledger_epochs.known IS 'When the first of its numbers was folded, or it was first reported.';
