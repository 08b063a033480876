-- An author who leaves is still paid: a transfer knows the account at Stripe that it goes to.
-- Of several servers one compares with Stripe at a time. What refers to a user is found when the user is deleted.
-- depends: 0011.refunds-read

ALTER TABLE transfers
    ADD COLUMN payout_account_id uuid CONSTRAINT transfers_payout_account_id_fkey REFERENCES payout_accounts;
UPDATE transfers SET payout_account_id = payout_accounts.id
FROM payout_accounts WHERE payout_accounts.user_id = transfers.developer_id;

CREATE TABLE stripe_rounds (
    name text CONSTRAINT stripe_rounds_pkey PRIMARY KEY,
    begun_at timestamptz NOT NULL
);

DROP INDEX stripe_customers_read_at_idx;
CREATE INDEX purchases_user_id_idx ON purchases (user_id);
CREATE INDEX checkouts_user_id_idx ON checkouts (user_id);
CREATE INDEX transfers_developer_id_idx ON transfers (developer_id);
CREATE INDEX transfers_payout_account_id_idx ON transfers (payout_account_id);
