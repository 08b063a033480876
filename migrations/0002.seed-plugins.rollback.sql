DELETE FROM plugins WHERE id IN ('github-sync', 'slack-notifier', 'time-tracker');
