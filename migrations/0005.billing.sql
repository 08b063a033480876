-- Money: what Stripe knows of our users, what it has told, and what moves between buyers, authors and the platform.
-- depends: 0003.storage

-- A call of Stripe that makes something. It is here before it is made, so that whoever repeats it after a crash looks
-- first whether the thing is there. key_number is part of the idempotency key: it rises where a key is used up.
CREATE TABLE stripe_calls (
    name text CONSTRAINT stripe_calls_pkey PRIMARY KEY,
    key_number integer NOT NULL DEFAULT 1,
    tries integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Readings of Stripe are numbered before they are made: of two, the one with the higher number knows all that the
-- events behind the other one told.
CREATE SEQUENCE stripe_readings;

-- A user as Stripe's customer. The row is here before the customer is, and stays after the account until Stripe has
-- deleted the customer, and with it the subscription.
CREATE TABLE stripe_customers (
    id uuid CONSTRAINT stripe_customers_pkey PRIMARY KEY,
    user_id uuid CONSTRAINT stripe_customers_user_id_key UNIQUE
        CONSTRAINT stripe_customers_user_id_fkey REFERENCES users ON DELETE SET NULL,
    email text NOT NULL,
    stripe_customer_id text CONSTRAINT stripe_customers_stripe_customer_id_key UNIQUE,
    reading bigint NOT NULL DEFAULT 0, -- the one that the subscription's row follows
    read_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stripe_customers_read_at_idx ON stripe_customers (read_at);

ALTER TABLE subscriptions ADD COLUMN told_at timestamptz; -- Stripe's time of the newest event in this row

-- One checkout of a tier is open for a user at most.
CREATE TABLE checkouts (
    id uuid CONSTRAINT checkouts_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT checkouts_user_id_fkey REFERENCES users ON DELETE CASCADE,
    tier billing_tier NOT NULL,
    stripe_session_id text CONSTRAINT checkouts_stripe_session_id_key UNIQUE,
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX checkouts_open_key ON checkouts (user_id) WHERE closed_at IS NULL;

-- What Stripe has sent, once by its id. The payload is kept until it is applied.
CREATE TABLE stripe_events (
    id text CONSTRAINT stripe_events_pkey PRIMARY KEY,
    type text NOT NULL,
    stripe_customer_id text,
    payload bytea,
    state text NOT NULL DEFAULT 'pending' CONSTRAINT stripe_events_state_check CHECK (
        state IN ('pending', 'applied', 'ignored', 'unknown_customer', 'parked')
    ),
    tries integer NOT NULL DEFAULT 0, -- that failed by the event's own fault
    fault text,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL, -- at Stripe
    received_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT stripe_events_payload_check CHECK (payload IS NOT NULL OR state IN ('applied', 'ignored'))
);

CREATE INDEX stripe_events_due_idx ON stripe_events (next_try_at) WHERE state = 'pending';
CREATE INDEX stripe_events_unknown_idx ON stripe_events (stripe_customer_id) WHERE state = 'unknown_customer';
CREATE INDEX stripe_events_finished_at_idx ON stripe_events (finished_at);

-- A plugin that a user has bought, or is about to: the row is here before any money moves. attempt counts the ways of
-- paying, of which one is open at a time.
CREATE TABLE purchases (
    id uuid CONSTRAINT purchases_pkey PRIMARY KEY,
    user_id uuid CONSTRAINT purchases_user_id_fkey REFERENCES users ON DELETE SET NULL,
    plugin_id text CONSTRAINT purchases_plugin_id_fkey REFERENCES plugins ON DELETE SET NULL,
    developer_id uuid CONSTRAINT purchases_developer_id_fkey REFERENCES users ON DELETE SET NULL,
    amount_cents integer NOT NULL CONSTRAINT purchases_amount_cents_check CHECK (amount_cents > 0),
    currency text NOT NULL CONSTRAINT purchases_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    stub boolean NOT NULL, -- made without Stripe: no money has moved
    state text NOT NULL DEFAULT 'pending' CONSTRAINT purchases_state_check CHECK (
        state IN ('pending', 'paid', 'refunded')
    ),
    attempt integer NOT NULL DEFAULT 0,
    way text CONSTRAINT purchases_way_check CHECK (way IN ('card', 'checkout')), -- that is open
    stripe_payment_method_id text, -- of the card that is charged
    stripe_payment_intent_id text CONSTRAINT purchases_stripe_payment_intent_id_key UNIQUE,
    stripe_charge_id text CONSTRAINT purchases_stripe_charge_id_key UNIQUE,
    stripe_session_id text CONSTRAINT purchases_stripe_session_id_key UNIQUE,
    check_at timestamptz NOT NULL DEFAULT now(), -- when housekeeping looks after a pending one
    created_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    CONSTRAINT purchases_paid_check CHECK ((state = 'pending') = (paid_at IS NULL))
);

CREATE UNIQUE INDEX purchases_live_key ON purchases (user_id, plugin_id, stub) WHERE state IN ('pending', 'paid');
CREATE INDEX purchases_check_at_idx ON purchases (check_at) WHERE state = 'pending';
CREATE INDEX purchases_plugin_id_idx ON purchases (plugin_id);
CREATE INDEX purchases_developer_id_idx ON purchases (developer_id);

-- The books: a sale, and each refund of it as a line of its own with negative amounts. "undone": a refund that Stripe
-- could not pay out after all.
ALTER TABLE revenue_events
    ADD COLUMN purchase_id uuid CONSTRAINT revenue_events_purchase_id_fkey REFERENCES purchases,
    ADD COLUMN kind text NOT NULL DEFAULT 'sale' CONSTRAINT revenue_events_kind_check CHECK (
        kind IN ('sale', 'refund', 'undone')
    ),
    ADD COLUMN stub boolean NOT NULL DEFAULT false,
    ADD COLUMN stripe_refund_id text,
    ADD CONSTRAINT revenue_events_refund_check CHECK ((kind = 'sale') = (stripe_refund_id IS NULL)),
    ADD CONSTRAINT revenue_events_refund_key UNIQUE (stripe_refund_id, kind),
    ADD CONSTRAINT revenue_events_sign_check CHECK (
        CASE kind
            WHEN 'refund' THEN amount_cents < 0 AND developer_share_cents <= 0 AND platform_share_cents <= 0
            ELSE amount_cents > 0 AND developer_share_cents >= 0 AND platform_share_cents >= 0
        END
    );

CREATE UNIQUE INDEX revenue_events_sale_key ON revenue_events (purchase_id) WHERE kind = 'sale';
CREATE INDEX revenue_events_purchase_id_idx ON revenue_events (purchase_id);

-- An author's connected account at Stripe, to which shares are transferred once it can take them.
CREATE TABLE payout_accounts (
    id uuid CONSTRAINT payout_accounts_pkey PRIMARY KEY,
    user_id uuid CONSTRAINT payout_accounts_user_id_key UNIQUE
        CONSTRAINT payout_accounts_user_id_fkey REFERENCES users ON DELETE SET NULL,
    stripe_account_id text CONSTRAINT payout_accounts_stripe_account_id_key UNIQUE,
    state text NOT NULL DEFAULT 'new' CONSTRAINT payout_accounts_state_check CHECK (
        state IN ('new', 'incomplete', 'active')
    ),
    reading bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What has to move between the platform and an author for a line of the books: once.
-- held: the author has no account yet that takes it. netted: a refund came before the share had left.
CREATE TABLE transfers (
    id uuid CONSTRAINT transfers_pkey PRIMARY KEY,
    revenue_event_id uuid NOT NULL CONSTRAINT transfers_revenue_event_id_key UNIQUE
        CONSTRAINT transfers_revenue_event_id_fkey REFERENCES revenue_events,
    purchase_id uuid NOT NULL CONSTRAINT transfers_purchase_id_fkey REFERENCES purchases,
    developer_id uuid CONSTRAINT transfers_developer_id_fkey REFERENCES users ON DELETE SET NULL,
    kind text NOT NULL CONSTRAINT transfers_kind_check CHECK (kind IN ('transfer', 'reversal')),
    amount_cents integer NOT NULL CONSTRAINT transfers_amount_cents_check CHECK (amount_cents >= 0),
    state text NOT NULL CONSTRAINT transfers_state_check CHECK (state IN ('held', 'due', 'done', 'netted', 'parked')),
    begun_at timestamptz, -- from then on the amount stands
    reverses uuid CONSTRAINT transfers_reverses_fkey REFERENCES transfers,
    tries integer NOT NULL DEFAULT 0,
    fault text,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    stripe_id text CONSTRAINT transfers_stripe_id_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    CONSTRAINT transfers_done_check CHECK ((state = 'done') = (stripe_id IS NOT NULL)),
    CONSTRAINT transfers_amount_check CHECK (amount_cents > 0 OR state = 'netted')
);

CREATE INDEX transfers_due_idx ON transfers (next_try_at) WHERE state = 'due';
CREATE INDEX transfers_held_idx ON transfers (developer_id) WHERE state = 'held';
CREATE INDEX transfers_purchase_id_idx ON transfers (purchase_id);
CREATE INDEX transfers_reverses_idx ON transfers (reverses);

-- What an admin has ordered to be paid back.
CREATE TABLE refunds (
    id uuid CONSTRAINT refunds_pkey PRIMARY KEY,
    purchase_id uuid NOT NULL CONSTRAINT refunds_purchase_id_fkey REFERENCES purchases,
    amount_cents integer NOT NULL CONSTRAINT refunds_amount_cents_check CHECK (amount_cents > 0),
    state text NOT NULL DEFAULT 'due' CONSTRAINT refunds_state_check CHECK (state IN ('due', 'done', 'refused')),
    stripe_refund_id text CONSTRAINT refunds_stripe_refund_id_key UNIQUE,
    fault text,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX refunds_due_idx ON refunds (next_try_at) WHERE state = 'due';
CREATE INDEX refunds_purchase_id_idx ON refunds (purchase_id);
