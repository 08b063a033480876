-- The tables that everything stands on. Every constraint has a name, so that queries.py can map it to an error.
-- Ids are made by the server (adiuva.clock.new_id), so that no column of a uuid has a default.

CREATE TYPE billing_tier AS ENUM ('free', 'pro', 'power', 'team');
CREATE TYPE plugin_status AS ENUM ('pending_review', 'approved', 'rejected');
CREATE TYPE review_decision AS ENUM ('approved', 'rejected');

CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    email text NOT NULL CONSTRAINT users_email_check CHECK (length(email) BETWEEN 3 AND 254),
    password_hash text NOT NULL,
    is_admin boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- An address is kept as it was given, and is one account however it is written.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- One login is one session: a family of refresh tokens, each made from the one before.
CREATE TABLE logins (
    id uuid CONSTRAINT logins_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT logins_user_id_fkey REFERENCES users ON DELETE CASCADE,
    user_agent text CONSTRAINT logins_user_agent_check CHECK (length(user_agent) <= 512),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE INDEX logins_user_id_idx ON logins (user_id);

-- Only hashes are kept. The successor of a spent token is derived from that token and a salt, so that a client whose
-- answer was lost can be given the same successor again, which nobody can read out of this table.
CREATE TABLE refresh_tokens (
    token_hash bytea CONSTRAINT refresh_tokens_pkey PRIMARY KEY
        CONSTRAINT refresh_tokens_token_hash_check CHECK (octet_length(token_hash) = 32),
    login_id uuid NOT NULL CONSTRAINT refresh_tokens_login_id_fkey REFERENCES logins ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    successor_salt bytea,
    successor_hash bytea CONSTRAINT refresh_tokens_successor_hash_key UNIQUE,
    CONSTRAINT refresh_tokens_spent_check CHECK (
        (spent_at IS NULL) = (successor_salt IS NULL) AND (spent_at IS NULL) = (successor_hash IS NULL)
    )
);

CREATE INDEX refresh_tokens_login_id_idx ON refresh_tokens (login_id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

CREATE TABLE websocket_tickets (
    ticket_hash bytea CONSTRAINT websocket_tickets_pkey PRIMARY KEY
        CONSTRAINT websocket_tickets_ticket_hash_check CHECK (octet_length(ticket_hash) = 32),
    login_id uuid NOT NULL CONSTRAINT websocket_tickets_login_id_fkey REFERENCES logins ON DELETE CASCADE,
    session_expires_at timestamptz NOT NULL, -- when the socket that it opens has to close
    expires_at timestamptz NOT NULL
);

CREATE INDEX websocket_tickets_login_id_idx ON websocket_tickets (login_id);
CREATE INDEX websocket_tickets_expires_at_idx ON websocket_tickets (expires_at);

-- A row without Stripe's ids is a tier that an admin set.
CREATE TABLE subscriptions (
    user_id uuid CONSTRAINT subscriptions_pkey PRIMARY KEY
        CONSTRAINT subscriptions_user_id_fkey REFERENCES users ON DELETE CASCADE,
    tier billing_tier NOT NULL,
    status text NOT NULL DEFAULT 'active' CONSTRAINT subscriptions_status_check CHECK (
        status IN (
            'active', 'trialing', 'past_due', 'canceled', 'incomplete', 'incomplete_expired', 'unpaid', 'paused'
        )
    ),
    stripe_customer_id text CONSTRAINT subscriptions_stripe_customer_id_key UNIQUE,
    stripe_subscription_id text CONSTRAINT subscriptions_stripe_subscription_id_key UNIQUE,
    current_period_end timestamptz,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What is known of a record: never its content, which is ciphertext in the blob store. Ids belong to their user.
CREATE TABLE storage_records (
    user_id uuid NOT NULL CONSTRAINT storage_records_user_id_fkey REFERENCES users ON DELETE CASCADE,
    id uuid NOT NULL,
    table_name text NOT NULL
        CONSTRAINT storage_records_table_name_check CHECK (table_name ~ '^[a-z][a-z0-9_]{0,62}$'),
    blob_key text NOT NULL CONSTRAINT storage_records_blob_key_key UNIQUE,
    checksum text NOT NULL CONSTRAINT storage_records_checksum_check CHECK (checksum ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL CONSTRAINT storage_records_size_bytes_check CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT storage_records_pkey PRIMARY KEY (user_id, id)
);

CREATE INDEX storage_records_newest_idx ON storage_records (user_id, table_name, created_at DESC, id);

CREATE TABLE backup_metadata (
    id uuid CONSTRAINT backup_metadata_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT backup_metadata_user_id_fkey REFERENCES users ON DELETE CASCADE,
    version text NOT NULL CONSTRAINT backup_metadata_version_check CHECK (length(version) BETWEEN 1 AND 64),
    taken_at timestamptz NOT NULL,
    blob_key text NOT NULL CONSTRAINT backup_metadata_blob_key_key UNIQUE,
    checksum text NOT NULL CONSTRAINT backup_metadata_checksum_check CHECK (checksum ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL CONSTRAINT backup_metadata_size_bytes_check CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX backup_metadata_newest_idx ON backup_metadata (user_id, taken_at DESC, id);

-- A plugin without an author is Adiuva's own.
CREATE TABLE plugins (
    id text CONSTRAINT plugins_pkey PRIMARY KEY
        CONSTRAINT plugins_id_check CHECK (id ~ '^[a-z0-9-]+$' AND length(id) <= 64),
    author_id uuid CONSTRAINT plugins_author_id_fkey REFERENCES users ON DELETE SET NULL,
    name text NOT NULL,
    description text NOT NULL,
    version text NOT NULL,
    category text NOT NULL,
    price_cents integer NOT NULL CONSTRAINT plugins_price_cents_check CHECK (price_cents >= 0),
    currency text NOT NULL DEFAULT 'eur' CONSTRAINT plugins_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    permissions text[] NOT NULL CONSTRAINT plugins_permissions_check CHECK (
        permissions <@ ARRAY[
            'read:tasks', 'write:tasks', 'read:projects', 'write:projects', 'read:notes', 'write:notes',
            'read:checkpoints', 'write:checkpoints', 'read:calendar', 'write:calendar'
        ]
    ),
    status plugin_status NOT NULL DEFAULT 'pending_review',
    install_count integer NOT NULL DEFAULT 0 CONSTRAINT plugins_install_count_check CHECK (install_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX plugins_author_id_idx ON plugins (author_id);
CREATE INDEX plugins_status_idx ON plugins (status, category);

CREATE TABLE plugin_installations (
    user_id uuid NOT NULL CONSTRAINT plugin_installations_user_id_fkey REFERENCES users ON DELETE CASCADE,
    plugin_id text NOT NULL CONSTRAINT plugin_installations_plugin_id_fkey REFERENCES plugins ON DELETE CASCADE,
    installed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plugin_installations_pkey PRIMARY KEY (user_id, plugin_id)
);

CREATE INDEX plugin_installations_plugin_id_idx ON plugin_installations (plugin_id);

-- What an admin decided about one version of a plugin.
CREATE TABLE plugin_reviews (
    id uuid CONSTRAINT plugin_reviews_pkey PRIMARY KEY,
    plugin_id text NOT NULL CONSTRAINT plugin_reviews_plugin_id_fkey REFERENCES plugins ON DELETE CASCADE,
    reviewer_id uuid CONSTRAINT plugin_reviews_reviewer_id_fkey REFERENCES users ON DELETE SET NULL,
    version text NOT NULL,
    decision review_decision NOT NULL,
    notes text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plugin_reviews_notes_check CHECK (decision <> 'rejected' OR length(trim(notes)) > 0)
);

CREATE INDEX plugin_reviews_plugin_id_idx ON plugin_reviews (plugin_id, created_at DESC);

-- The books outlive the accounts: a user or a plugin that goes away leaves its lines here.
CREATE TABLE revenue_events (
    id uuid CONSTRAINT revenue_events_pkey PRIMARY KEY,
    plugin_id text CONSTRAINT revenue_events_plugin_id_fkey REFERENCES plugins ON DELETE SET NULL,
    developer_id uuid CONSTRAINT revenue_events_developer_id_fkey REFERENCES users ON DELETE SET NULL,
    user_id uuid CONSTRAINT revenue_events_user_id_fkey REFERENCES users ON DELETE SET NULL,
    amount_cents integer NOT NULL,
    developer_share_cents integer NOT NULL,
    platform_share_cents integer NOT NULL,
    currency text NOT NULL DEFAULT 'eur' CONSTRAINT revenue_events_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    stripe_transfer_id text CONSTRAINT revenue_events_stripe_transfer_id_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT revenue_events_shares_check CHECK (amount_cents = developer_share_cents + platform_share_cents)
);

CREATE INDEX revenue_events_developer_id_idx ON revenue_events (developer_id, created_at);
CREATE INDEX revenue_events_plugin_id_idx ON revenue_events (plugin_id);
CREATE INDEX revenue_events_user_id_idx ON revenue_events (user_id);
