-- What `adiuva admin plugins check` found in a package, for whoever reviews it. A report is of one package: another
-- one, even of the same version, has none.
-- depends: 0007.accepted-permissions

CREATE TABLE plugin_check_reports (
    plugin_id text NOT NULL CONSTRAINT plugin_check_reports_plugin_id_fkey REFERENCES plugins ON DELETE CASCADE,
    package_checksum text NOT NULL CONSTRAINT plugin_check_reports_package_checksum_check CHECK (
        package_checksum ~ '^[0-9a-f]{64}$'
    ),
    report jsonb NOT NULL CONSTRAINT plugin_check_reports_report_check CHECK (
        jsonb_typeof(report) = 'object' AND report ? 'passed'
    ),
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plugin_check_reports_pkey PRIMARY KEY (plugin_id, package_checksum)
);
