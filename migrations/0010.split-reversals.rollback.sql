-- Fails where a refund has been taken back by several reversals, which the schema before knows nothing of.
DROP INDEX transfers_revenue_event_id_idx;
DROP INDEX transfers_of_sale_key;
ALTER TABLE transfers ADD CONSTRAINT transfers_revenue_event_id_key UNIQUE (revenue_event_id);
