-- A refund may be larger than what is left of any one transfer: then it is taken back by several reversals.
-- depends: 0009.block-checksums

ALTER TABLE transfers DROP CONSTRAINT transfers_revenue_event_id_key;
CREATE UNIQUE INDEX transfers_of_sale_key ON transfers (revenue_event_id) WHERE kind = 'transfer';
CREATE INDEX transfers_revenue_event_id_idx ON transfers (revenue_event_id);
