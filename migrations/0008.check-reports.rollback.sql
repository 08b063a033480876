DROP TABLE plugin_check_reports;
