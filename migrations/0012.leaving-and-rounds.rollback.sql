DROP INDEX transfers_developer_id_idx;
DROP INDEX checkouts_user_id_idx;
DROP INDEX purchases_user_id_idx;
CREATE INDEX stripe_customers_read_at_idx ON stripe_customers (read_at);
DROP TABLE stripe_rounds;
ALTER TABLE transfers DROP COLUMN payout_account_id;
