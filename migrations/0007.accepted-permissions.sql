-- What a user accepted of a plugin when installing it. A later version that asks for more does not get it: what holds is
-- what is both here and in plugins.permissions.
-- depends: 0006.marketplace

ALTER TABLE plugin_installations ADD COLUMN accepted_permissions text[];

UPDATE plugin_installations SET accepted_permissions = plugins.permissions
FROM plugins WHERE plugins.id = plugin_installations.plugin_id;

ALTER TABLE plugin_installations
    ALTER COLUMN accepted_permissions SET NOT NULL,
    ADD CONSTRAINT plugin_installations_accepted_permissions_check CHECK (
        accepted_permissions <@ ARRAY[
            'read:tasks', 'write:tasks', 'read:projects', 'write:projects', 'read:notes', 'write:notes',
            'read:checkpoints', 'write:checkpoints', 'read:calendar', 'write:calendar'
        ]
    );

-- An installation that does not say what it accepts accepts what the plugin asks for now.
CREATE FUNCTION accept_permissions_as_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.accepted_permissions IS NULL THEN
        NEW.accepted_permissions := (SELECT permissions FROM plugins WHERE id = NEW.plugin_id);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER plugin_installations_accept BEFORE INSERT ON plugin_installations
    FOR EACH ROW EXECUTE FUNCTION accept_permissions_as_asked();
