ALTER TABLE stripe_calls DROP COLUMN tried_at;
ALTER TABLE refunds DROP COLUMN tries;
ALTER TABLE purchases DROP COLUMN reading;
