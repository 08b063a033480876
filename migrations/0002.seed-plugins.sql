-- The plugins that the marketplace opens with.
-- depends: 0001.accounts-storage-marketplace

INSERT INTO plugins (id, name, description, version, category, price_cents, currency, permissions, status)
VALUES
    (
        'github-sync', 'GitHub Sync', 'Keeps tasks and GitHub issues in step.', '1.0.0', 'integration',
        0, 'eur', ARRAY['read:tasks', 'write:tasks', 'read:projects'], 'approved'
    ),
    (
        'slack-notifier', 'Slack Notifier', 'Tells a Slack channel about tasks and checkpoints.', '1.0.0', 'communication',
        499, 'eur', ARRAY['read:tasks', 'read:checkpoints'], 'approved'
    ),
    (
        'time-tracker', 'Time Tracker', 'Measures the time spent on tasks and projects.', '1.0.0', 'productivity',
        999, 'eur', ARRAY['read:tasks', 'write:tasks', 'read:projects'], 'approved'
    );
