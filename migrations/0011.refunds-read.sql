-- What Stripe has of a purchase's refunds is read like a subscription: numbered, so that an older reading changes nothing.
-- A refund that Stripe refuses is tried again. A call that was tried long ago is not under way any more.
-- depends: 0010.split-reversals

ALTER TABLE purchases ADD COLUMN reading bigint NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN tries integer NOT NULL DEFAULT 0;
ALTER TABLE stripe_calls ADD COLUMN tried_at timestamptz NOT NULL DEFAULT now();
